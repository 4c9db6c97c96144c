//! How a running node is reached: HTTP/1.1 over the Unix socket that its `control` setting names.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::cli::args::ControlArgs;
use crate::cli::exit::{Exit, Failure};
use crate::config::load;
use crate::server::settings::{CONTROL_FILE, DATA_DIR};

/// The largest answer that is taken: the status of a hundred thousand zones fits.
pub const MAX_ANSWER: usize = 256 << 20;
/// How long an answer may take: reloading a zone of millions of records takes seconds, so a node that says nothing for
/// this long is stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long what takes a node no work is waited for.
const ANSWER: Duration = Duration::from_secs(10);
/// Names the configuration of the node that is meant.
const CONFIG_VARIABLE: &str = "TIDEMARK_CONFIG";
/// Where packages have it.
const PACKAGED: &str = "/etc/tidemark/tidemark.toml";

/// Why a node did not do what it was asked. Only [`ControlError::Refused`] says what it did, nothing if there is no more in the answer
/// than the error; after the others the node may have acted or not, except that [`ControlError::Unreachable`] never got as far as asking.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens on the socket.
    #[error(
        "no node answers on {}: {error}; is it running? name its socket with `--control SOCKET` or its configuration \
         with `--config FILE`",
        socket.display()
    )]
    Unreachable {
        /// The socket that was tried.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The node took the request and did not answer in time.
    #[error("the node on {} took the request and gave no answer within {} s; is it stopped, or the host overloaded? see its log", socket.display(), patience.as_secs())]
    Silent {
        /// The socket that was tried.
        socket: PathBuf,
        /// For how long an answer was waited for.
        patience: Duration,
    },
    /// The node said no, or that not all went well; in its own words.
    #[error("{message}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// The `error` of the answer, or the answer itself behind its status.
        message: String,
        /// The answer, where it is JSON.
        answer: Option<Value>,
    },
    /// What came back is not an answer of a node.
    #[error("what listens on {} does not answer like a tidemark node: {detail}; check the path", socket.display())]
    Garbled {
        /// The socket that was tried.
        socket: PathBuf,
        /// What was wrong.
        detail: String,
    },
}

/// Asks the node for `uri`, such as `/api/v1/status`.
pub async fn get(socket: &Path, uri: &str) -> Result<Value, ControlError> {
    within(ANSWER, socket, Method::GET, uri, Bytes::new()).await
}

/// What the node says of itself and of all its zones, which come page by page.
pub async fn status(socket: &Path) -> Result<Value, ControlError> {
    let mut status = get(socket, "/api/v1/status").await?;
    while let Some(after) = status["next"].as_str() {
        let mut page = get(socket, &format!("/api/v1/zones?after={}", in_query(after))).await?;
        status["next"] = page["next"].take();
        let more = page["zones"].as_array_mut().map(std::mem::take).unwrap_or_default();
        status["zones"].as_array_mut().into_iter().for_each(|zones| zones.extend(more.iter().cloned()));
    }
    Ok(status)
}

/// Tells the node to do what `uri` stands for, with `body` as JSON.
pub async fn post(socket: &Path, uri: &str, body: &Value) -> Result<Value, ControlError> {
    within(PATIENCE, socket, Method::POST, uri, body.to_string().into()).await
}

impl ControlArgs {
    /// The control socket that the arguments name, or else `TIDEMARK_CONFIG`; else that of the configuration in the working directory
    /// or, where there is no node without one, of the packaged one.
    pub fn socket(&self) -> Result<PathBuf, Failure> {
        let named = std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        self.socket_in(Path::new(""), named.map(PathBuf::from))
    }

    /// The same in this working directory, where the variable has this value.
    fn socket_in(&self, folder: &Path, variable: Option<PathBuf>) -> Result<PathBuf, Failure> {
        let here = folder.join(DATA_DIR).join(CONTROL_FILE);
        let config = match (&self.control, self.config.clone().or(variable)) {
            (Some(socket), _) => return Ok(socket.clone()),
            (None, Some(config)) => config,
            (None, None) => {
                let (local, packaged) = (folder.join("tidemark.toml"), PathBuf::from(PACKAGED));
                match (local.exists(), here.exists() || !packaged.exists()) {
                    (true, _) => local,
                    (false, true) => return Ok(here),
                    (false, false) => packaged,
                }
            }
        };
        load::control(&config).map_err(Failure::Socket)
    }
}

impl ControlError {
    /// The exit status it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            ControlError::Unreachable { .. } | ControlError::Silent { .. } => Exit::Unreachable,
            ControlError::Refused { .. } | ControlError::Garbled { .. } => Exit::Failed,
        }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Failure {
        Failure::Told(error.exit(), error.to_string())
    }
}

/// Percent-encodes what may not stand in a query (RFC 3986 3.4).
pub fn in_query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => {
                encoded.push(byte as char)
            }
            // Writing to a string cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

async fn within(
    patience: Duration,
    socket: &Path,
    method: Method,
    uri: &str,
    body: Bytes,
) -> Result<Value, ControlError> {
    let asking = exchange(socket, method, uri, body);
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(ControlError::Silent { socket: socket.to_path_buf(), patience }))
}

async fn exchange(socket: &Path, method: Method, uri: &str, body: Bytes) -> Result<Value, ControlError> {
    let garbled = |detail: String| ControlError::Garbled { socket: socket.to_path_buf(), detail };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| ControlError::Unreachable { socket: socket.to_path_buf(), error })?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| garbled(error.to_string()))?;
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::HOST, "tidemark")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| garbled(error.to_string()))?;
    let answering = async {
        let response = sender.send_request(request).await.map_err(|error| garbled(error.to_string()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| garbled(error.to_string()))?
            .to_bytes();
        Ok((status, body))
    };
    // The connection does the reading and writing. When it ends first, what it read last is still on its way.
    let mut answering = std::pin::pin!(answering);
    let (status, body) = tokio::select! {
        answer = &mut answering => answer?,
        _ = connection => answering.await?,
    };
    let parsed: Result<Value, _> = serde_json::from_slice(&body);
    if status.is_success() {
        return parsed.map_err(|error| garbled(format!("the answer is not JSON: {error}")));
    }
    let answer = parsed.ok();
    let message = match answer.as_ref().and_then(|value| value.get("error")?.as_str()) {
        Some(message) => message.to_owned(),
        None => format!("HTTP {status} {}", String::from_utf8_lossy(&body).trim()).trim_end().to_owned(),
    };
    Err(ControlError::Refused { status, message, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::SocketAddr;

    use axum::Router;
    use axum::routing::{get as on_get, post as on_post};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    fn socket() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("tidemark.sock");
        (folder, socket)
    }

    fn serve(socket: &Path, router: Router) {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// A peer that reads the head of a request, says `answer` whatever was asked, and closes.
    fn say(socket: &Path, answer: &'static [u8]) {
        let listener = UnixListener::bind(socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Closing with the request unread would reset the connection instead of ending it.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer).await.unwrap();
        });
    }

    #[tokio::test]
    async fn asks_and_tells() {
        let (_folder, socket) = socket();
        let large = "x".repeat(3 << 20);
        let answer = serde_json::json!({ "zones": [large] });
        let sent = answer.clone();
        let router = Router::new()
            .route("/api/v1/status", on_get(move || async move { axum::Json(sent) }))
            .route("/api/v1/echo", on_post(|body: axum::Json<Value>| async move { body }));
        serve(&socket, router);
        assert_eq!(get(&socket, "/api/v1/status").await.unwrap(), answer);
        let body = serde_json::json!({ "zone": "example." });
        assert_eq!(post(&socket, "/api/v1/echo", &body).await.unwrap(), body);
    }

    #[tokio::test]
    async fn refusals_are_told_in_the_words_of_the_node() {
        let (_folder, socket) = socket();
        let no = || async { (StatusCode::CONFLICT, r#"{"error":"no such zone"}"#) };
        serve(&socket, Router::new().route("/api/v1/reload", on_post(no)));
        let error = post(&socket, "/api/v1/reload", &Value::Null).await.unwrap_err();
        assert_eq!(error.to_string(), "no such zone");
        assert_eq!(error.exit(), Exit::Failed);
        let error = get(&socket, "/elsewhere").await.unwrap_err();
        assert!(matches!(error, ControlError::Refused { status: StatusCode::NOT_FOUND, .. }));
        assert_eq!(error.to_string(), "HTTP 404 Not Found");
    }

    #[tokio::test]
    async fn an_answer_that_ends_with_the_connection_is_whole() {
        let (_folder, socket) = socket();
        say(&socket, b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"zones\":[]}");
        assert_eq!(get(&socket, "/").await.unwrap(), serde_json::json!({ "zones": [] }));
    }

    #[tokio::test]
    async fn nonsense_is_no_answer() {
        let answers: [&[u8]; 4] = [
            b"",
            b"220 mail.example ESMTP\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes",
            b"HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n{",
        ];
        for answer in answers {
            let (_folder, socket) = socket();
            say(&socket, answer);
            let error = get(&socket, "/").await.unwrap_err();
            assert!(matches!(error, ControlError::Garbled { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_node_that_is_away_is_status_three_and_the_flags_are_named() {
        let (_folder, socket) = socket();
        let absent = get(&socket, "/").await.unwrap_err();
        drop(UnixListener::bind(&socket).unwrap());
        let refused = get(&socket, "/").await.unwrap_err();
        for error in [absent, refused] {
            assert_eq!(error.exit(), Exit::Unreachable);
            let told = error.to_string();
            for part in [socket.to_str().unwrap(), "--control", "--config"] {
                assert!(told.contains(part), "{told}");
            }
        }
    }

    #[test]
    fn the_socket_is_found_by_flag_by_configuration_or_by_default() {
        let (folder, socket) = socket();
        let config = folder.path().join("tidemark.toml");
        let listen: SocketAddr = "127.0.0.1:5300".parse().unwrap();
        std::fs::write(&config, format!("[server]\nlisten = [\"{listen}\"]\ndata-dir = \".\"\n")).unwrap();
        let found = |config, control| ControlArgs { config, control }.socket_in(folder.path(), None);
        assert_eq!(found(None, Some(socket.clone())).unwrap(), socket);
        let configured = folder.path().join(".").join("tidemark.sock");
        assert_eq!(found(Some(config.clone()), None).unwrap(), configured);
        // The configuration of the working directory, and where there is none a node without one.
        assert_eq!(found(None, None).unwrap(), configured);
        let empty = tempfile::tempdir().unwrap();
        let elsewhere =
            |variable| ControlArgs { config: None, control: None }.socket_in(empty.path(), variable).unwrap();
        assert_eq!(elsewhere(Some(config)), configured);
        std::fs::create_dir(empty.path().join("state")).unwrap();
        std::fs::write(empty.path().join("state/tidemark.sock"), "").unwrap();
        assert_eq!(elsewhere(None), empty.path().join("state/tidemark.sock"));
        let failure = found(Some(folder.path().join("missing.toml")), None).unwrap_err();
        assert_eq!(failure.exit(), Exit::Failed);
    }
}
