use crate::{
    context::Context,
    failure::Failure,
    output,
    serve::{StorageArgs, check_present},
};
use clap::Subcommand;
use waybill_client::api::{KeyList, PublicKeyInfo};
use waybill_proof::keys::FileKey;

const EXAMPLES: &str = "\
Examples:
  waybill keys show
  waybill keys export > registry.pub
  waybill keys export --role deployer > deployer.pub
  waybill keys create --data-dir /srv/waybill    # only where the key is lost for good

Export a key once, over a way that you trust, and pin it with --key or WAYBILL_TRUSTED_KEYS:
then `waybill verify` proves origin, not only integrity.";

/// Show or export the public keys that sign
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// List the keys
    #[command(after_help = EXAMPLES)]
    Show,
    /// Print the keys of a role as PEM, the newest first: tools that read one take the first
    #[command(after_help = EXAMPLES)]
    Export {
        /// Whose key: `registry` signs versions, `deployer` signs lockfiles
        #[arg(long, value_name = "ROLE", default_value = "registry")]
        role: String,
    },
    /// Make the registry's signing key anew, where it was lost: `serve` refuses to do so by itself.
    /// What the lost key signed can still be verified; who pinned it has to pin the new one too, and
    /// the deployer of `serve` goes on deploying it with --trusted-key, once for each of the two
    #[command(after_help = EXAMPLES)]
    Create {
        #[command(flatten)]
        storage: StorageArgs,
    },
}

pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        KeysCommand::Show => show(&known(context).await?, context.json),
        KeysCommand::Export { role } => export(&known(context).await?, &role, context.json)?,
        KeysCommand::Create { storage } => create(storage, context.json)?,
    }
    Ok(())
}

async fn known(context: &Context) -> Result<Vec<PublicKeyInfo>, Failure> {
    let KeyList { keys } = context.client()?.keys().await?;
    Ok(keys)
}

fn create(storage: StorageArgs, json: bool) -> Result<(), Failure> {
    let config = storage.registry_config()?;
    check_present(&config)?;
    let path = config.key_path();
    if path.exists() {
        return Err(Failure::Failed(format!("{} exists; nothing was changed", path.display())));
    }
    let key = FileKey::load_or_generate(&path).map_err(Failure::failed)?;
    if json {
        output::json(&serde_json::json!({ "path": path, "hint": key.public_key().hint() }));
        return Ok(());
    }
    let hint = key.public_key().hint();
    output::line(format!("{} {} is a new key, hint {hint}", output::mark(true), path.display()));
    output::line(
        "Versions that the lost key signed are deployed and restored only if serve is told to trust both:\n  \
         waybill keys export > trusted.pub    # once serve has run; compare the old key with your copy of it\n  \
         waybill serve --trusted-key trusted.pub",
    );
    Ok(())
}

fn show(keys: &[PublicKeyInfo], json: bool) {
    if json {
        output::json(&keys);
        return;
    }
    let rows = keys.iter().map(|key| [key.role.clone(), key.algorithm.clone(), key.hint.clone()]).collect();
    output::table(["ROLE", "ALGORITHM", "KEY HINT (SHA-256 OF THE PEM TEXT)"], rows, "No keys.");
}

fn export(keys: &[PublicKeyInfo], role: &str, json: bool) -> Result<(), Failure> {
    let of_role: Vec<&PublicKeyInfo> = keys.iter().filter(|key| key.role == role).collect();
    if of_role.is_empty() {
        let mut roles: Vec<&str> = keys.iter().map(|key| key.role.as_str()).collect();
        roles.dedup();
        let roles = roles.join(", ");
        return Err(Failure::NotFound(format!("no key has the role {role:?}; there are keys for: {roles}")));
    }
    if json {
        output::json(&of_role);
        return Ok(());
    }
    for key in of_role.into_iter().rev() {
        // PEM ends with its own line feed; tools compare these bytes.
        output::bytes(key.public_key_pem.as_bytes());
    }
    Ok(())
}
