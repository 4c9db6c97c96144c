//! The section `[server]`: where the node listens, what it shows and what it keeps.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::config::convert::{Reading, Told};
use crate::config::document::{self, Text};
use crate::config::secrets;
use crate::config::value;
use crate::server::settings;
use crate::server::unread::{Content, Source};
use crate::wire::cookie::Secrets;

/// Workers beyond this many only wait for each other.
const MAX_WORKERS: i64 = 1_024;
/// An NSID has to fit into an answer beside everything else (RFC 5001 sets no limit).
const MAX_NSID: usize = 128;
/// A Unix socket's address holds this many bytes, the final NUL counted (`sun_path` of sockaddr_un on Linux is 108).
const MAX_SOCKET_PATH: usize = 107;

impl Reading<'_> {
    pub(super) fn server(&self, server: Option<Spanned<document::Server>>) -> Result<settings::Server, Told> {
        let Some(server) = server else { return Err(self.no_server()) };
        let section = server.span();
        let server = server.into_inner();
        let help = "give at least one ADDR:PORT, for example `listen = [\"127.0.0.1:53\"]`";
        let listen = self.some(section, "`[server]`", "listen", server.listen, value::address, help);
        let tls = server.tls.map(|tls| self.tls(tls, listen.as_deref().unwrap_or_default())).transpose();
        let tls_listen = tls.iter().flatten().flat_map(|tls| &tls.listen);
        let taken: Vec<&SocketAddr> = listen.iter().flatten().chain(tls_listen).collect();
        let http = server.http.map(|http| self.http(&http, &taken)).transpose();
        let data_dir = match &server.data_dir {
            Some(path) => self.relative(path),
            None => Ok(self.folder.join(settings::DATA_DIR)),
        };
        let control = self.control(server.control.as_ref(), data_dir.as_deref().ok());
        let workers = self.number("workers", server.workers, MAX_WORKERS);
        let is_long = |nsid: &Text| nsid.as_ref().len() > MAX_NSID;
        let nsid = self.unless(server.nsid, is_long, || {
            (format!("`nsid` is longer than {MAX_NSID} bytes"), "choose a shorter name for this node")
        });
        let cookies = self.cookies(server.cookie_secret, server.cookie_secret_file);
        let user = self.unless(
            server.user,
            |user| user.as_ref().is_empty(),
            || ("`user` is empty".to_owned(), "name a user, or remove the key"),
        );
        Ok(settings::Server {
            listen: listen?,
            tls: tls?,
            http: http?,
            data_dir: data_dir?,
            control: control?,
            workers: workers?,
            nsid: nsid?,
            cookies: cookies?,
            user: user?,
        })
    }

    fn no_server(&self) -> Told {
        match self.has_all_sections() {
            false => Told,
            true => self.tell(
                self.whole("there is no `[server]` section")
                    .help("say where to listen: `[server]`, then `listen = [\"127.0.0.1:53\"]`"),
            ),
        }
    }

    /// The control socket, which lies in the data folder unless it is `written`.
    fn control(&self, written: Option<&Text>, data_dir: Option<&Path>) -> Result<PathBuf, Told> {
        let control = match written {
            Some(path) => self.relative(path)?,
            None => data_dir.ok_or(Told)?.join(settings::CONTROL_FILE),
        };
        if control.as_os_str().len() <= MAX_SOCKET_PATH {
            return Ok(control);
        }
        let message = format!(
            "the path of the control socket, {}, is longer than {MAX_SOCKET_PATH} bytes",
            control.display()
        );
        let error = match written {
            Some(path) => self.error(path.span(), message),
            None => self.whole(message),
        };
        Err(self.tell(error.help("set `control` to a shorter path, for example `/run/tidemark.sock`")))
    }

    /// A text as it is, unless it is bad, which has a message and a help.
    fn unless(
        &self,
        written: Option<Text>,
        is_bad: impl FnOnce(&Text) -> bool,
        fault: impl FnOnce() -> (String, &'static str),
    ) -> Result<Option<String>, Told> {
        match written {
            Some(text) if is_bad(&text) => {
                let (message, help) = fault();
                Err(self.tell(self.error(text.span(), message).help(help)))
            }
            written => Ok(written.map(Spanned::into_inner)),
        }
    }

    fn cookies(
        &self,
        written: Option<Spanned<toml::Value>>,
        file: Option<Text>,
    ) -> Result<Option<Secrets>, Told> {
        match (written, file) {
            (None, None) => Ok(None),
            (Some(written), None) => secrets::listed(written.as_ref())
                .map(Some)
                .map_err(|fault| self.tell(self.error(written.span(), fault).help(secrets::HELP))),
            (None, Some(file)) => {
                let read = self.read(Source::Cookies(self.relative(&file)?), |fault| {
                    let help =
                        format!("correct the path or the permissions; for each secret {}", secrets::HELP);
                    self.error(file.span(), fault.what).help(help)
                })?;
                Ok(match read {
                    Some(Content::Cookies(secrets)) => Some(secrets),
                    _ => None,
                })
            }
            (Some(written), Some(file)) => {
                let fault = "cookie secrets stand in the configuration or in a file, not in both";
                Err(self.tell(
                    self.error(file.span(), fault)
                        .and(written.span(), "here too")
                        .help("keep `cookie-secret` or `cookie-secret-file`"),
                ))
            }
        }
    }

    /// `http`; `taken` are the addresses that answer DNS.
    fn http(&self, http: &Text, taken: &[&SocketAddr]) -> Result<SocketAddr, Told> {
        let addr = self.value(http, value::http_address)?;
        if taken.contains(&&addr) {
            let fault = self.error(http.span(), "this address already answers DNS");
            return Err(
                self.tell(fault.help(format!("choose another port, for example {}", value::HTTP_PORT)))
            );
        }
        Ok(addr)
    }

    /// `[server.tls]`; `plain` are the addresses that are taken already.
    fn tls(&self, tls: Spanned<document::Tls>, plain: &[SocketAddr]) -> Result<settings::Tls, Told> {
        let section = tls.span();
        let tls = tls.into_inner();
        let help = "give at least one ADDR:PORT, for example `listen = [\"127.0.0.1:853\"]`";
        let is_taken = |text: &&Text| value::address(text.as_ref()).is_ok_and(|addr| plain.contains(&addr));
        let taken: Vec<Told> = tls
            .listen
            .iter()
            .flat_map(Spanned::as_ref)
            .filter(is_taken)
            .map(|taken| {
                let fault = self.error(taken.span(), "this address already answers without TLS");
                self.tell(fault.help(format!("choose another port; DNS over TLS has {}", value::TLS_PORT)))
            })
            .collect();
        let listen =
            self.some(section.clone(), "`[server.tls]`", "listen", tls.listen, value::tls_address, help);
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
            let help = "add `certificate = \"FILE.crt\"` and `key = \"FILE.key\"`, both PEM files";
            return Err(self.missing(&section, "TLS takes a certificate and its key", help));
        };
        let files = (self.relative(certificate), self.relative(key));
        let files = [files.0?, files.1?];
        let read = self.read(Source::Identity(files.clone()), |fault| {
            let place = if fault.path == files[0] { certificate.span() } else { key.span() };
            let help =
                "name two PEM files that can be read: the certificate with its chain, and its private key";
            self.error(place, fault.what).help(help)
        })?;
        let identity = match read {
            Some(Content::Identity(identity)) => Some(identity),
            _ => None,
        };
        match taken.first() {
            None => Ok(settings::Tls { listen: listen?, identity }),
            Some(told) => Err(*told),
        }
    }
}
