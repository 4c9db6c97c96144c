//! HTTP connections: few, and none that takes its time.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use super::address;

use places::{Answering, Place, Places};

mod places;

/// Connections per listener: scrapers, dashboards and commands are a handful. One more has an idle one closed.
pub const MAX_CONNECTIONS: usize = 128;
/// Connections that may wait to be accepted, in the system's queue.
const BACKLOG: i32 = 128;
/// A request's head has to be here within this time, the first one's and each later one's of a connection.
const HEAD: Duration = Duration::from_secs(10);
/// A connection ends after this long, whatever it does: a reload of large zones takes less.
const LONGEST: Duration = Duration::from_secs(300);
/// When there is no descriptor for a connection, this long until the next try.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub enum Listener {
    /// The `http` address.
    Tcp(TcpListener),
    /// The control socket.
    Unix(UnixListener),
}

/// Listens at the `http` address.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a former process that are still being closed do not matter.
    socket.set_reuse_address(true)?;
    address::bind(&socket, addr)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves until the runtime ends.
pub async fn serve(listener: Listener, router: Router) {
    let places = Places::new(MAX_CONNECTIONS);
    loop {
        let router = router.clone();
        let accepted = match &listener {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(stream, _)| start(stream, router, places.take()))
            }
            Listener::Unix(listener) => {
                listener.accept().await.map(|(stream, _)| start(stream, router, places.take()))
            }
        };
        if let Err(error) = accepted {
            pause(&error).await;
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::debug!("cannot accept an HTTP connection: {error}");
    // No event tells when another part of the process lets a descriptor go.
    tokio::time::sleep(SHORTAGE).await;
}

fn start<S>(stream: S, router: Router, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let close = place.close();
        let place = Arc::new(place);
        let router = TowerToHyperService::new(router);
        let service = service_fn(|request: Request<Incoming>| {
            let answering = Answering::begin(&place);
            let response = router.call(request);
            async move {
                let response = response.await?;
                // Answered once the last of it is made: an event stream goes on.
                Ok::<_, Infallible>(response.map(|body: Body| {
                    body.map_frame(move |frame| {
                        let _ = &answering;
                        frame
                    })
                }))
            }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // How a connection ends concerns its client alone.
            _ = tokio::time::timeout(LONGEST, serving) => {}
            () = close.notified() => {}
        }
    });
}
