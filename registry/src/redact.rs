//! URLs as they may be shown and logged: without what opens a door.

use url::Url;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// In URLs of these schemes a name that stands alone before the `@` is a user's. Of others nobody knows:
/// `ann://s3cret@db` may be a name and its password.
const SCHEMES: [&str; 5] = ["postgres", "postgresql", "s3", "http", "https"];

/// The URL without its password, whether that stands before the host or, as libpq also takes it, among
/// the parameters. A text that is no proper URL may hold one anywhere before its last `@`.
pub fn url(text: &str) -> String {
    if text.starts_with("sqlite:") || text.starts_with("file:") {
        return text.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| !scheme.contains(':')) else {
        // Without a scheme, or in libpq's form of `name=value`.
        return if is_secret(text) { HIDDEN.to_owned() } else { hide_unknown(text) };
    };
    match Url::parse(text) {
        // With an unescaped `/`, `?` or `#` in the password the `@` comes too late.
        Ok(parsed)
            if SCHEMES.contains(&parsed.scheme()) && !parsed[url::Position::BeforePath..].contains('@') =>
        {
            hide_known(parsed)
        }
        _ => format!("{scheme}://{}", hide_unknown(rest)),
    }
}

fn hide_unknown(rest: &str) -> String {
    let (before, parameters) = rest.split_once('?').map_or((rest, None), |(b, p)| (b, Some(p)));
    if parameters.is_some_and(|parameters| parameters.contains('@')) {
        return HIDDEN.to_owned();
    }
    let mut shown =
        before.rsplit_once('@').map_or_else(|| before.to_owned(), |(_, at)| format!("{HIDDEN}@{at}"));
    if parameters.is_some() {
        shown.push('?');
        shown.push_str(HIDDEN);
    }
    shown
}

fn hide_known(mut parsed: Url) -> String {
    parsed.set_fragment(None);
    if parsed.password().is_some() {
        // Fails only for URLs that cannot have a password.
        let _ = parsed.set_password(Some(HIDDEN));
    }
    let parameters: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
    if parameters.iter().any(|(name, _)| is_secret(name)) {
        let shown =
            parameters.iter().map(|(name, value)| (name, if is_secret(name) { HIDDEN } else { value }));
        parsed.query_pairs_mut().clear().extend_pairs(shown);
    }
    parsed.into()
}

fn is_secret(parameter: &str) -> bool {
    parameter.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_secret_is_not_shown() {
        for (text, shown) in [
            ("postgres://ann@db/waybill", "postgres://ann@db/waybill"),
            ("postgres://ann:s3cret@db:5432/waybill", "postgres://ann:***@db:5432/waybill"),
            ("postgres://ann:s3/cret@db/waybill", "postgres://***@db/waybill"),
            ("postgres://ann:s3#cret@db/waybill", "postgres://***@db/waybill"),
            ("postgres://ann:12/s3cret@db/waybill", "postgres://***@db/waybill"),
            ("postgres://ann:12?s3cret@db/waybill", "postgres://***"),
            ("postgres://db/waybill?password=a@s3cret", "postgres://***"),
            ("postgres://db/waybill?password=a#s3cret", "postgres://db/waybill?password=***"),
            ("postgres://ann:s3/cret@db/waybill?password=s3cret", "postgres://***@db/waybill?***"),
            ("postgres://db:port/waybill?password=s3cret", "postgres://db:port/waybill?***"),
            (
                "postgres://db/waybill?user=ann&password=s3cret&sslmode=require",
                "postgres://db/waybill?user=ann&password=***&sslmode=require",
            ),
            ("postgres://db/waybill?sslpassword=s3cret", "postgres://db/waybill?sslpassword=***"),
            ("s3://KEY:s3cret@models/a", "s3://KEY:***@models/a"),
            ("s3://KEY:s3/cret@models/a", "s3://***@models/a"),
            ("sqlite:///srv/a@b.db", "sqlite:///srv/a@b.db"),
            ("sqlite:w.db", "sqlite:w.db"),
            ("ann://s3cret@db/waybill", "ann://***@db/waybill"),
            ("mysql://ann:s3cret@db/waybill", "mysql://***@db/waybill"),
            ("gs://models/a?b=c", "gs://models/a?***"),
            ("ann:s3cret@db/waybill", "***@db/waybill"),
            ("postgres:/ann:s3cret@db/waybill", "***@db/waybill"),
            ("host=db user=ann Password=s3cret", "***"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(super::url(text), shown, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_password_of_any_kind_is_not_shown(password in "[ -~]{0,8}s3cret[ -~]{0,8}") {
            let shown = super::url(&format!("postgres://ann:{password}@db/waybill"));
            proptest::prop_assert!(!shown.contains("s3cret"), "{shown}");
            let shown = super::url(&format!("ann:{password}@db/waybill"));
            proptest::prop_assert!(!shown.contains("s3cret"), "{shown}");
            let shown = super::url(&format!("postgres://db/waybill?password={}", password.replace('&', "-")));
            proptest::prop_assert!(!shown.contains("s3cret"), "{shown}");
        }
    }
}
