//! Bars on a terminal: what is being brought over, and how many bytes go.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, time::Duration};
use waybill_client::progress::{Progress, Step};

const OBJECTS: &str = "{spinner} {msg:40!} {wide_bar} {pos}/{len}";
const BYTES: &str = "  {msg:40!} {binary_bytes} {binary_bytes_per_sec} ({elapsed})";

pub struct Watch {
    bars: Option<(ProgressBar, ProgressBar)>,
}

impl Watch {
    /// Bars where somebody may see them; silent for scripts.
    pub fn new(json: bool) -> Self {
        if json || !std::io::stderr().is_terminal() {
            return Self { bars: None };
        }
        let both = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let style = |template| ProgressStyle::with_template(template).expect("a constant");
        let objects = both.add(ProgressBar::new(0).with_style(style(OBJECTS)));
        let bytes = both.add(ProgressBar::new_spinner().with_style(style(BYTES)));
        objects.enable_steady_tick(Duration::from_millis(120));
        bytes.set_message("artifacts");
        Self { bars: Some((objects, bytes)) }
    }

    /// What follows is about `what`.
    pub fn about(&self, what: &str) {
        if let Some((objects, _)) = &self.bars {
            objects.set_message(crate::output::plain(what));
        }
    }

    /// So many objects more lie ahead.
    pub fn ahead(&self, count: usize) {
        if let Some((objects, _)) = &self.bars {
            objects.inc_length(count as u64);
        }
    }

    /// So many objects are done.
    pub fn done(&self, count: usize) {
        if let Some((objects, _)) = &self.bars {
            objects.inc(count as u64);
        }
    }
}

impl Progress for Watch {
    fn begin(&self, _: Step, _: usize, _: u64) {}

    fn advance(&self, bytes: u64) {
        if let Some((_, bar)) = &self.bars {
            bar.inc(bytes);
        }
    }

    fn retreat(&self, bytes: u64) {
        if let Some((_, bar)) = &self.bars {
            bar.set_position(bar.position().saturating_sub(bytes));
        }
    }

    fn end(&self, _: Step) {}
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((objects, bytes)) = &self.bars {
            objects.finish_and_clear();
            bytes.finish_and_clear();
        }
    }
}
