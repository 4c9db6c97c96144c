//! The section `[server]`: where the node listens, what it shows and what it keeps.

use std::net::SocketAddr;

use toml::Spanned;

use crate::config::convert::Reading;
use crate::config::document::{self, Text};
use crate::config::error::Error;
use crate::config::secrets;
use crate::config::value;
use crate::server::settings;
use crate::server::tls::{Identity, IdentityError};
use crate::wire::cookie::Secrets;

/// Workers beyond this many only wait for each other.
const MAX_WORKERS: i64 = 1_024;
/// An NSID has to fit into an answer beside everything else (RFC 5001 sets no limit).
const MAX_NSID: usize = 128;
/// A Unix socket's address holds this many bytes, the final NUL counted (`sun_path` of sockaddr_un on Linux is 108).
const MAX_SOCKET_PATH: usize = 107;

impl Reading<'_> {
    pub(super) fn server(
        &self,
        server: Option<Spanned<document::Server>>,
    ) -> Result<settings::Server, Error> {
        let Some(server) = server else {
            return Err(self
                .whole("there is no `[server]` section")
                .help("say where to listen: `[server]`, then `listen = [\"127.0.0.1:53\"]`"));
        };
        let section = server.span();
        let server = server.into_inner();
        let help = "give at least one ADDR:PORT, for example `listen = [\"127.0.0.1:53\"]`";
        let listen = self.some(section, "`[server]`", "listen", server.listen, value::address, help)?;
        let data_dir = match &server.data_dir {
            Some(path) => self.relative(path)?,
            None => self.folder.join(settings::DATA_DIR),
        };
        let control = match &server.control {
            Some(path) => self.relative(path)?,
            None => data_dir.join(settings::CONTROL_FILE),
        };
        if control.as_os_str().len() > MAX_SOCKET_PATH {
            let message = format!(
                "the path of the control socket, {}, is longer than {MAX_SOCKET_PATH} bytes",
                control.display()
            );
            let error = match &server.control {
                Some(path) => self.error(path.span(), message),
                None => self.whole(message),
            };
            return Err(error.help("set `control` to a shorter path, for example `/run/tidemark.sock`"));
        }
        if let Some(nsid) = server.nsid.as_ref().filter(|nsid| nsid.as_ref().len() > MAX_NSID) {
            return Err(self
                .error(nsid.span(), format!("`nsid` is longer than {MAX_NSID} bytes"))
                .help("choose a shorter name for this node"));
        }
        if let Some(user) = server.user.as_ref().filter(|user| user.as_ref().is_empty()) {
            return Err(self.error(user.span(), "`user` is empty").help("name a user, or remove the key"));
        }
        let cookies = self.cookies(server.cookie_secret, server.cookie_secret_file)?;
        let tls = server.tls.map(|tls| self.tls(tls, &listen)).transpose()?;
        Ok(settings::Server {
            listen,
            tls,
            http: server.http.map(|http| self.value(&http, value::address)).transpose()?,
            data_dir,
            control,
            workers: self.number("workers", server.workers, MAX_WORKERS)?,
            nsid: server.nsid.map(Spanned::into_inner),
            cookies,
            user: server.user.map(Spanned::into_inner),
        })
    }

    fn cookies(
        &self,
        written: Option<Spanned<toml::Value>>,
        file: Option<Text>,
    ) -> Result<Option<Secrets>, Error> {
        let (place, read) = match (written, file) {
            (None, None) => return Ok(None),
            (Some(written), None) => (written.span(), secrets::listed(written.as_ref())),
            (None, Some(file)) => {
                (file.span(), secrets::from_file(&self.readable(&file, "cookie secret file")?))
            }
            (Some(written), Some(file)) => {
                return Err(self
                    .error(file.span(), "cookie secrets stand in the configuration or in a file, not in both")
                    .and(written.span(), "here too")
                    .help("keep `cookie-secret` or `cookie-secret-file`"));
            }
        };
        read.map(Some).map_err(|fault| self.error(place, fault).help(secrets::HELP))
    }

    /// `[server.tls]`; `plain` are the addresses that are taken already.
    fn tls(&self, tls: Spanned<document::Tls>, plain: &[SocketAddr]) -> Result<settings::Tls, Error> {
        let section = tls.span();
        let tls = tls.into_inner();
        let help = "give at least one ADDR:PORT, for example `listen = [\"127.0.0.1:853\"]`";
        let is_taken = |text: &&Text| value::address(text.as_ref()).is_ok_and(|addr| plain.contains(&addr));
        if let Some(taken) = tls.listen.iter().flat_map(Spanned::as_ref).find(is_taken) {
            return Err(self
                .error(taken.span(), "this address already answers without TLS")
                .help("choose another port; DNS over TLS has 853"));
        }
        let listen =
            self.some(section.clone(), "`[server.tls]`", "listen", tls.listen, value::address, help)?;
        let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
            return Err(self
                .error(section, "TLS takes a certificate and its key")
                .help("add `certificate = \"FILE.crt\"` and `key = \"FILE.key\"`, both PEM files"));
        };
        let files = (self.readable(certificate, "certificate")?, self.readable(key, "key")?);
        let identity = Identity::read(&files.0, &files.1).map_err(|error| {
            let place = match &error {
                IdentityError::Certificate(_) => certificate.span(),
                IdentityError::Key(_) => key.span(),
            };
            self.error(place, error.to_string())
                .help("name two PEM files: the certificate with its chain, and its private key")
        })?;
        Ok(settings::Tls { listen, identity })
    }
}
