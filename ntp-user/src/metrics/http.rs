//! The HTTP endpoint. Invariant: a slow or hostile client costs a bounded number of connections for a bounded
//! time, and never holds up timekeeping.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::page;
use super::state::{Question, State};

/// Connections that are served at one time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 16;

/// How long a client may take over the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the timekeeping thread is waited for.
const STATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pause after a connection could not be accepted, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Media type of [`page::render`].
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What `/` shows.
const INDEX: &str =
    "<!doctype html><title>ntp-xdpd</title><p><a href=\"/metrics\">Metrics of ntp-xdpd</a>\n";

/// The metrics endpoint can't be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}: {error}")]
pub struct EndpointError {
    /// Where it was to be.
    pub address: SocketAddr,
    /// Why it is not.
    pub error: io::Error,
}

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Endpoint {
    listeners: Vec<TcpListener>,
}

impl Endpoint {
    /// Binds the addresses.
    ///
    /// # Errors
    /// The first address that can't be had.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, EndpointError> {
        let bind = |&address: &SocketAddr| {
            let failed = |error| EndpointError { address, error };
            let listener = TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            Ok(listener)
        };
        Ok(Self { listeners: addresses.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// Where it is, with the ports that the kernel chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves on a thread of its own, for as long as the process lives.
    ///
    /// # Errors
    /// When the thread can't be made.
    pub fn start(self, questions: mpsc::Sender<Question>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            runtime.block_on(serve(self.listeners, questions));
        })?;
        Ok(())
    }
}

async fn serve(listeners: Vec<TcpListener>, questions: mpsc::Sender<Question>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for listener in listeners {
        tokio::spawn(accept(listener, Arc::clone(&room), questions.clone()));
    }
    questions.closed().await;
}

async fn accept(listener: TcpListener, room: Arc<Semaphore>, questions: mpsc::Sender<Question>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "Metrics are not served");
            return;
        }
    };
    // The semaphore is never closed.
    while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection for metrics was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let questions = questions.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, questions.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            if !matches!(timeout(CONNECTION_TIMEOUT, connection).await, Ok(Ok(()))) {
                tracing::debug!("a connection for metrics was cut");
            }
            drop(permit);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    questions: mpsc::Sender<Question>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    Ok(match request.uri().path() {
        "/metrics" => metrics(&questions).await,
        "/" => with_type(StatusCode::OK, "text/html; charset=utf-8", INDEX.to_owned()),
        _ => plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n"),
    })
}

async fn metrics(questions: &mpsc::Sender<Question>) -> Response<Full<Bytes>> {
    let Some(state) = ask(questions).await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy or about to end\n");
    };
    match page::render(state) {
        Ok(text) => with_type(StatusCode::OK, OPEN_METRICS, text),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics can't be written\n"),
    }
}

async fn ask(questions: &mpsc::Sender<Question>) -> Option<State> {
    let (question, state) = oneshot::channel();
    questions.try_send(question).ok()?;
    timeout(STATE_TIMEOUT, state).await.ok()?.ok()
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

fn with_type(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let media_type = hyper::header::HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::questions;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// Starts an endpoint whose questions `answer` takes, if there is one.
    fn endpoint(answer: Option<fn() -> State>) -> SocketAddr {
        let endpoint = Endpoint::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let address = endpoint.addresses()[0];
        let (sender, mut receiver) = questions();
        endpoint.start(sender).unwrap();
        thread::spawn(move || {
            while let Some(question) = receiver.blocking_recv() {
                if let Some(answer) = answer {
                    question.send(answer()).unwrap();
                }
            }
        });
        address
    }

    fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn metrics_are_served_in_the_format_that_they_claim() {
        let reply = exchange(endpoint(Some(page::tests::state)), "GET /metrics");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(reply.contains("content-type: application/openmetrics-text; version=1.0.0"));
        assert!(reply.ends_with("# EOF\n"), "{reply}");
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let address = endpoint(Some(page::tests::state));
        for (request, status) in [
            ("GET /", "200 OK"),
            ("HEAD /metrics", "200 OK"),
            ("GET /other", "404 Not Found"),
            ("POST /metrics", "405 Method Not Allowed"),
            ("nonsense", "400 Bad Request"),
        ] {
            let reply = exchange(address, request);
            assert!(reply.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {reply}");
        }
    }

    #[test]
    fn scrape_of_a_daemon_that_does_not_answer_fails() {
        let reply = exchange(endpoint(None), "GET /metrics");
        assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
    }

    #[test]
    fn address_that_is_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Endpoint::bind(&[address]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot serve metrics on {address}: ")), "{error}");
    }
}
