//! Runtimes: how a model becomes a server. They are data; the rollout knows none by name.

/// A way to serve models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    pub name: &'static str,
    /// Goes up when what it needs of an environment image changes.
    pub version: &'static str,
    /// A model can run on it when this file is at its root.
    pub marker_file: &'static str,
    /// The lockfile must hold one package of each group.
    pub needs: &'static [&'static [&'static str]],
    pub command: &'static [&'static str],
    /// Option of the command that adds a field `name:value` to the head of every answer.
    pub answer_field: &'static str,
    pub environment: &'static [(&'static str, &'static str)],
    pub port: u16,
    /// Answers 200 once the model is loaded.
    pub ready_path: &'static str,
    /// Where the model is mounted, read-only.
    pub model_path: &'static str,
    /// Writable memory at `/tmp`.
    pub tmp_bytes: u64,
}

impl Runtime {
    /// As it stands in an environment image's key: `mlflow-pyfunc/1`.
    pub fn identity(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }
}

/// Models that MLflow logged, behind MLflow's own scoring server.
///
/// `__pyfunc_model_path__` is the scoring server's private name for the model's folder; it is used
/// here and nowhere else. The access log is off: at hundreds of requests a second it would be the
/// largest part of the deployment's log, and the gateway counts requests.
pub const MLFLOW_PYFUNC: Runtime = Runtime {
    name: "mlflow-pyfunc",
    version: "1",
    marker_file: "MLmodel",
    needs: &[&["mlflow", "mlflow-skinny"], &["uvicorn"], &["fastapi"]],
    command: &[
        "uvicorn",
        "mlflow.pyfunc.scoring_server.app:app",
        "--host",
        "0.0.0.0",
        "--port",
        "8080",
        "--no-access-log",
    ],
    answer_field: "--header",
    environment: &[
        ("__pyfunc_model_path__", "/opt/ml/model"),
        ("HOME", "/tmp"),
        ("TMPDIR", "/tmp"),
        ("PYTHONUNBUFFERED", "1"),
    ],
    port: 8080,
    ready_path: "/ping",
    model_path: "/opt/ml/model",
    tmp_bytes: 512 << 20,
};

/// Every runtime, in the order in which they are tried.
pub const RUNTIMES: &[Runtime] = &[MLFLOW_PYFUNC];

/// The runtime for a model that has these files.
pub fn for_model(has_file: impl Fn(&str) -> bool) -> Option<&'static Runtime> {
    RUNTIMES.iter().find(|runtime| has_file(runtime.marker_file))
}

/// The first group of packages of which a lockfile in `requirements.txt` format has none.
pub fn missing_package(runtime: &Runtime, lock: &str) -> Option<&'static [&'static str]> {
    let names: Vec<String> = lock
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#', '-']))
        .map(|line| {
            line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .replace(['_', '.'], "-")
        })
        .collect();
    runtime.needs.iter().copied().find(|group| !group.iter().any(|name| names.iter().any(|n| n == name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_served_by_the_runtime_of_its_marker_file() {
        let found = for_model(|path| ["MLmodel", "model.pkl"].contains(&path));
        assert_eq!(found.map(|r| r.name), Some("mlflow-pyfunc"));
        assert_eq!(for_model(|path| path == "sub/MLmodel"), None);
    }

    #[test]
    fn a_lockfile_without_the_server_is_told_before_anything_is_built() {
        let lock = "mlflow-skinny==3.17.2 \\\n    --hash=sha256:00\nUvicorn[standard]==0.30\n";
        assert_eq!(missing_package(&MLFLOW_PYFUNC, lock), Some(&["fastapi"][..]));
        let whole = format!("{lock}fastapi==0.120 \\\n    --hash=sha256:11\n");
        assert_eq!(missing_package(&MLFLOW_PYFUNC, &whole), None);
        assert_eq!(
            missing_package(&MLFLOW_PYFUNC, "# mlflow==1\nuvicorn==1\nfastapi==1\n"),
            Some(&["mlflow", "mlflow-skinny"][..])
        );
    }
}
