//! What a file of a model is, told by its name.

/// Kinds of layer in the CNCF ModelPack specification, for files stored as they are (`.raw`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerKind {
    Weight,
    WeightConfig,
    Doc,
    Code,
    Dataset,
}

impl LayerKind {
    pub const ALL: [Self; 5] = [Self::Weight, Self::WeightConfig, Self::Doc, Self::Code, Self::Dataset];

    /// Guesses from the file's name; what nothing else claims is weights.
    pub fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        if matches!(name.as_str(), "input_example.json" | "serving_input_example.json") {
            return Self::Dataset;
        }
        if matches!(name.as_str(), "mlmodel" | "requirements.txt" | "merges.txt" | "vocab.txt") {
            return Self::WeightConfig;
        }
        let stem = name.split('.').next().unwrap_or_default();
        if matches!(stem, "readme" | "license" | "licence" | "notice" | "changelog" | "copying" | "authors") {
            return Self::Doc;
        }
        match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "json" | "yaml" | "yml" | "toml" | "lock" | "cfg" | "ini" | "conf" | "xml" | "jinja"
            | "tiktoken" => Self::WeightConfig,
            "md" | "rst" | "txt" | "pdf" | "html" | "png" | "jpg" | "jpeg" | "svg" => Self::Doc,
            "py" | "ipynb" | "sh" | "c" | "h" | "cpp" | "rs" | "go" | "js" | "ts" | "r" | "jl" | "java"
            | "scala" | "sql" | "whl" => Self::Code,
            "csv" | "tsv" | "parquet" | "arrow" | "feather" | "jsonl" | "avro" | "orc" => Self::Dataset,
            _ => Self::Weight,
        }
    }

    /// Media type of the layer.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Weight => "application/vnd.cncf.model.weight.v1.raw",
            Self::WeightConfig => "application/vnd.cncf.model.weight.config.v1.raw",
            Self::Doc => "application/vnd.cncf.model.doc.v1.raw",
            Self::Code => "application/vnd.cncf.model.code.v1.raw",
            Self::Dataset => "application/vnd.cncf.model.dataset.v1.raw",
        }
    }

    pub fn from_media_type(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.media_type() == text)
    }
}
