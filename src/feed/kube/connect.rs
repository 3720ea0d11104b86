//! Which credentials are used, and the client made of them. It reads files and the environment it is given, and asks the
//! API server nothing.

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a pod finds the credentials of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// A TCP and TLS handshake within a cluster takes milliseconds; what takes longer than this is retried elsewhere.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The last resort against a connection that says nothing: above every time-out that the watch loop keeps itself.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// Which credentials were asked for, and where others may be found.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// A kubeconfig file that was named; nothing else is tried then.
    pub kubeconfig: Option<PathBuf>,
    /// A context in it, or in the one that is found.
    pub context: Option<String>,
    /// The environment: KUBERNETES_SERVICE_HOST and _PORT, KUBECONFIG, HOME.
    pub environment: BTreeMap<String, String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kubeconfig was found and cannot be used.
    #[error("kubeconfig {}: {}", .0, explain(.1))]
    Kubeconfig(String, KubeconfigError),
    /// The context that was asked for is not in it.
    #[error("kubeconfig {file}: no context `{context}`; expected one of: {}", .known.join(", "))]
    Context {
        /// The file, or the files of `KUBECONFIG`.
        file: String,
        /// What was asked for.
        context: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No credentials were found.
    #[error(
        "no credentials for a Kubernetes API server; expected one of: a kubeconfig file named with --kubeconfig; the service \
         account of a pod (KUBERNETES_SERVICE_HOST and {SERVICE_ACCOUNT}/token, see automountServiceAccountToken); \
         a file named by KUBECONFIG or at ~/.kube/config"
    )]
    None,
    /// The environment names an API server that is none.
    #[error(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: expected an address and a port: {0}"
    )]
    Address(#[source] http::uri::InvalidUri),
    /// The credentials cannot be used.
    #[error("credentials for {0}: {1}")]
    Client(http::Uri, #[source] Box<kube::Error>),
}

/// Makes a client: of the kubeconfig that was named; else of the service account, in a pod; else of KUBECONFIG or
/// `~/.kube/config`. Token files are read again by the client when they change. Call it within a tokio runtime.
pub async fn connect(credentials: &Credentials) -> Result<Client, Error> {
    let mut config = config(credentials, Path::new(SERVICE_ACCOUNT)).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The client's own retries may hide an outage for minutes; the watch loop has its own.
    config.default_retry = false;
    let server = config.cluster_url.clone();
    tracing::info!(%server, "Kubernetes API server");
    Client::try_from(config).map_err(|error| Error::Client(server, Box::new(error)))
}

async fn config(credentials: &Credentials, service_account: &Path) -> Result<Config, Error> {
    if let Some(file) = &credentials.kubeconfig {
        return kubeconfig(std::slice::from_ref(file), credentials).await;
    }
    let variable = |name| {
        credentials
            .environment
            .get(name)
            .filter(|it| !it.is_empty())
    };
    let token = service_account.join("token");
    if let (None, Some(host), Some(port), true) = (
        &credentials.context,
        variable("KUBERNETES_SERVICE_HOST"),
        variable("KUBERNETES_SERVICE_PORT"),
        token.exists(),
    ) {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let server = format!("https://{host}:{port}");
        let mut config = Config::new(server.parse().map_err(Error::Address)?);
        config.root_cert_file = Some(service_account.join("ca.crt"));
        config.auth_info.token_file = Some(token.display().to_string());
        return Ok(config);
    }
    let files: Vec<PathBuf> = match (variable("KUBECONFIG"), variable("HOME")) {
        (Some(list), _) => std::env::split_paths(list).collect(),
        (None, Some(home)) => vec![Path::new(home).join(".kube/config")],
        (None, None) => Vec::new(),
    };
    // As kubectl does, files of the list that do not exist are passed over.
    let files: Vec<_> = files.into_iter().filter(|file| file.exists()).collect();
    if files.is_empty() {
        return Err(Error::None);
    }
    kubeconfig(&files, credentials).await
}

async fn kubeconfig(files: &[PathBuf], credentials: &Credentials) -> Result<Config, Error> {
    let names = files.iter().map(|file| file.display().to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    let refused = |error| Error::Kubeconfig(names.clone(), error);
    let mut merged = Kubeconfig::default();
    for file in files {
        let next = Kubeconfig::read_from(file).map_err(refused)?;
        merged = merged.merge(next).map_err(refused)?;
    }
    let known: Vec<_> = merged.contexts.iter().map(|it| it.name.clone()).collect();
    if let Some(context) = credentials
        .context
        .as_ref()
        .filter(|it| !known.contains(it))
    {
        return Err(Error::Context {
            file: names,
            context: context.clone(),
            known,
        });
    }
    let options = KubeConfigOptions {
        context: credentials.context.clone(),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(merged, &options)
        .await
        .map_err(refused)
}

/// One line, without the path, which stands before it. A parser's further lines show the file, and its secrets.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => format!("cannot be read: {error}"),
        other => other.to_string().lines().take(1).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: one, cluster: {server: 'https://192.0.2.1:6443'}}
- {name: two, cluster: {server: 'https://192.0.2.2:6443'}}
contexts:
- {name: one, context: {cluster: one, user: me}}
- {name: two, context: {cluster: two, user: me}}
users:
- {name: me, user: {token: secret}}
";

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    #[tokio::test]
    async fn a_named_kubeconfig_and_context_come_first() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        fs::write(&file, KUBECONFIG).unwrap();
        let mut credentials = Credentials {
            kubeconfig: Some(file),
            context: None,
            environment: environment(&[("KUBERNETES_SERVICE_HOST", "192.0.2.9")]),
        };
        let found = config(&credentials, directory.path()).await.unwrap();
        assert_eq!(found.cluster_url, "https://192.0.2.1:6443/");
        credentials.context = Some("two".to_owned());
        let found = config(&credentials, directory.path()).await.unwrap();
        assert_eq!(found.cluster_url, "https://192.0.2.2:6443/");
        credentials.context = Some("three".to_owned());
        let refused = config(&credentials, directory.path()).await.unwrap_err();
        let text = refused.to_string();
        let expected = "no context `three`; expected one of: one, two";
        assert!(text.ends_with(expected), "{text}");
    }

    #[tokio::test]
    async fn a_pod_uses_its_service_account_before_any_kubeconfig() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("token"), "secret").unwrap();
        let credentials = Credentials {
            environment: environment(&[
                ("KUBERNETES_SERVICE_HOST", "fd00::1"),
                ("KUBERNETES_SERVICE_PORT", "443"),
                ("KUBECONFIG", "/nonexistent"),
            ]),
            ..Credentials::default()
        };
        let found = config(&credentials, directory.path()).await.unwrap();
        assert_eq!(found.cluster_url, "https://[fd00::1]:443/");
        let token = directory.path().join("token").display().to_string();
        assert_eq!(found.auth_info.token_file, Some(token));
    }

    #[tokio::test]
    async fn outside_a_pod_the_home_directory_is_looked_at_last() {
        let home = tempfile::tempdir().unwrap();
        let credentials = Credentials {
            environment: environment(&[("HOME", home.path().to_str().unwrap())]),
            ..Credentials::default()
        };
        let none = config(&credentials, home.path())
            .await
            .unwrap_err()
            .to_string();
        for way in ["--kubeconfig", "KUBERNETES_SERVICE_HOST", "~/.kube/config"] {
            assert!(none.contains(way), "{none}");
        }
        fs::create_dir(home.path().join(".kube")).unwrap();
        fs::write(home.path().join(".kube/config"), KUBECONFIG).unwrap();
        let found = config(&credentials, home.path()).await.unwrap();
        assert_eq!(found.cluster_url, "https://192.0.2.1:6443/");
    }

    #[tokio::test]
    async fn a_client_over_tls_needs_no_provider_from_the_caller() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        fs::write(&file, KUBECONFIG).unwrap();
        let credentials = Credentials {
            kubeconfig: Some(file),
            ..Credentials::default()
        };
        assert!(connect(&credentials).await.is_ok());
    }
}
