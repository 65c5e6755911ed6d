//! The service behind: it answers nobody until it is told to begin, and remembers whom it answered in which order.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Builder;
use tokio::sync::watch;

pub(crate) struct Service {
    pub(crate) port: u16,
    begun: watch::Sender<bool>,
    order: Arc<Mutex<Vec<usize>>>,
}

impl Service {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (begun, begins) = watch::channel(false);
        let order = Arc::<Mutex<Vec<usize>>>::default();
        let seen = Arc::clone(&order);
        // Until the program ends.
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, &seen, &begins));
        });
        Self { port, begun, order }
    }

    /// From now on everybody is answered.
    pub(crate) fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// The numbers of those who came, in the order in which they did.
    pub(crate) fn order(&self) -> Vec<usize> {
        self.order.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, order: &Arc<Mutex<Vec<usize>>>, begins: &watch::Receiver<bool>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (order, begins) = (Arc::clone(order), begins.clone());
        let service = service_fn(move |request| answer(request, Arc::clone(&order), begins.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    order: Arc<Mutex<Vec<usize>>>,
    mut begins: watch::Receiver<bool>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let number = request.uri().path().trim_start_matches('/').parse().unwrap();
    order.lock().unwrap().push(number);
    // Whoever has the other end of it ends with the program.
    let _gone = begins.wait_for(|begun| *begun).await.is_err();
    Ok(Response::new(Full::new(Bytes::from_static(b"done"))))
}
