//! Progress bars on a terminal, nothing but the result elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, sync::Arc, time::Duration};
use waybill_client::progress::{Progress, Silent, Step};

const BAR: &str = "{msg:10} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";

/// A bar for a transfer; silent for scripts.
pub fn transfer(json: bool) -> Arc<dyn Progress> {
    match Bar::for_terminal(json) {
        Some(bar) => Arc::new(bar),
        None => Arc::new(Silent),
    }
}

/// A bar over bytes.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar, where somebody may see it.
    pub fn for_terminal(json: bool) -> Option<Self> {
        (!json && std::io::stderr().is_terminal()).then(Self::new)
    }

    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(BAR).expect("a constant"));
        Self(bar)
    }
}

impl Progress for Bar {
    fn begin(&self, step: Step, files: usize, bytes: u64) {
        let verb = match step {
            Step::Hash => "hashing",
            Step::Send => "sending",
            Step::Receive => "receiving",
        };
        self.0.reset();
        self.0.set_length(bytes);
        self.0.set_message(format!("{verb} {files}"));
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn retreat(&self, bytes: u64) {
        self.0.set_position(self.0.position().saturating_sub(bytes));
    }

    fn end(&self, _: Step) {
        self.0.finish_and_clear();
    }
}

impl waybill_registry::backup::Progress for Bar {
    fn begin(&self, part: &str, total_bytes: Option<u64>) {
        self.0.reset();
        match total_bytes {
            Some(bytes) => self.0.set_length(bytes),
            None => self.0.unset_length(),
        }
        self.0.set_message(part.to_owned());
    }

    fn advance(&self, by: u64) {
        self.0.inc(by);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A line at the foot of the terminal that says what goes on, with a turning mark; lines printed
/// through it stand above. Elsewhere, each new state is a line.
pub struct Activity {
    spinner: Option<ProgressBar>,
    quiet: bool,
    last: std::sync::Mutex<String>,
}

impl Activity {
    /// `quiet` shows nothing at all.
    pub fn new(quiet: bool) -> Self {
        let spinner = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let spinner = ProgressBar::new_spinner();
            spinner
                .set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a constant"));
            spinner.enable_steady_tick(Duration::from_millis(120));
            spinner
        });
        Self { spinner, quiet, last: std::sync::Mutex::default() }
    }

    pub fn state(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *last == text {
            return;
        }
        text.clone_into(&mut last);
        match &self.spinner {
            Some(spinner) => spinner.set_message(text.to_owned()),
            None if !self.quiet => crate::output::note(format!("… {text}")),
            None => {}
        }
    }

    pub fn line(&self, text: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| crate::output::note(text)),
            None if !self.quiet => crate::output::note(text),
            None => {}
        }
    }

    pub fn end(&self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}
