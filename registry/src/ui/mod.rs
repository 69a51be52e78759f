//! MLflow's own web UI, unmodified, from the `mlflow` package that the user installed.
//!
//! Nothing of it is copied: its built files are read where they lie. Where it is looked for is a
//! setting; with `auto` the search begins with the first request for a page, so that neither the
//! start nor a server that nobody visits waits for Python.

mod files;
mod find;
pub mod routes;

pub use files::{Asset, read};

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    str::FromStr,
};
use tokio::sync::OnceCell;

/// Where the UI is taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Source {
    /// It is not served: no foreign code comes from this address, and no program is run.
    #[default]
    Off,
    /// The `mlflow` package of the active virtual environment, or of `python3` on the path.
    Auto,
    /// A folder with the built UI, or a package folder that contains it.
    Folder(PathBuf),
}

impl FromStr for Source {
    type Err = Infallible;

    /// `auto`, `off`, or a folder.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "off" => Self::Off,
            "auto" => Self::Auto,
            folder => Self::Folder(folder.into()),
        })
    }
}

/// Why there are no pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoUi {
    #[error(
        "MLflow's web UI is turned off. Start with --mlflow-ui auto to serve it from the installed package."
    )]
    Off,
    #[error(
        "{folder} has no MLflow web UI: expected index.html in it, or in server/js/build or \
         mlflow/server/js/build below it"
    )]
    Folder { folder: String },
    #[error(
        "No MLflow web UI was found. {tried} Install mlflow (mlflow-skinny has no UI) where python3 finds it and \
         start again, or name its folder with --mlflow-ui DIR."
    )]
    NotFound { tried: String },
}

/// The UI, found once.
pub struct Ui {
    source: Source,
    found: OnceCell<Result<PathBuf, NoUi>>,
}

impl Ui {
    /// A folder is looked at now, so that a wrong one stops the start.
    pub fn open(source: Source) -> Result<Self, NoUi> {
        let found = match &source {
            Source::Folder(folder) => OnceCell::new_with(Some(Ok(find::in_folder(folder)?))),
            Source::Off => OnceCell::new_with(Some(Err(NoUi::Off))),
            Source::Auto => OnceCell::new(),
        };
        Ok(Self { source, found })
    }

    /// The folder of the built UI. Callers that come while it is searched for wait for one search;
    /// what it found, or not, holds until the end of the process.
    pub async fn folder(&self) -> Result<&Path, &NoUi> {
        let search = || async {
            let found = find::installed().await;
            match &found {
                Ok(folder) => tracing::info!(folder = %folder.display(), "serving MLflow's web UI"),
                Err(error) => tracing::warn!(%error, "MLflow's web UI is not served"),
            }
            found
        };
        self.found.get_or_init(search).await.as_ref().map(PathBuf::as_path)
    }

    pub fn source(&self) -> &Source {
        &self.source
    }
}
