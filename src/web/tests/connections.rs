//! More connections than there is room for, through a real server.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::web::connections::Limits;
use crate::web::server::serve_within;

/// So few that a test can open more; a moment is long, so that nothing goes which is in use.
const FEW: Limits =
    Limits { all: 6, each: 4, reserve: 2, idle: Duration::from_millis(50), brief: Duration::from_millis(20) };

/// What clients do at a server with few places; the server is stopped then.
fn at_server<T>(bench: &Bench, limits: Limits, clients: impl AsyncFnOnce(std::net::SocketAddr) -> T) -> T {
    bench.block(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = serve_within(limits, listener, bench.app.clone(), async { drop(stopped.await) });
        let clients = async {
            let came = clients(address).await;
            stop.send(()).expect("stops");
            came
        };
        let (ended, came) = tokio::join!(server, clients);
        ended.expect("serves");
        came
    })
}

async fn sent(address: std::net::SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(text.as_bytes()).await.expect("writes");
    stream
}

/// The status of the next answer.
async fn status(stream: &mut TcpStream) -> String {
    let mut came = [0; 12];
    stream.read_exact(&mut came).await.expect("an answer");
    String::from_utf8_lossy(&came[9..]).into_owned()
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LIST: &str = "GET /api/v1/runs HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn connections_that_do_nothing_keep_nobody_out() {
    let came = at_server(&Bench::new(&[]), FEW, async |address| {
        let mut idle = Vec::new();
        for _ in 0..30 {
            idle.push(sent(address, "GET /healthz HTTP/1.1\r\nHost: loc").await);
        }
        let health = status(&mut sent(address, HEALTH).await).await;
        // At the latest when all have done nothing for a moment.
        let list = loop {
            match &*status(&mut sent(address, LIST).await).await {
                "503" => {}
                other => break other.to_owned(),
            }
        };
        (health, list)
    });
    assert_eq!(came, ("200".to_owned(), "200".to_owned()));
}

#[test]
fn connections_in_use_go_on_and_health_is_answered_beside_them() {
    let bench = Bench::new(&[("w", "sleep(\"1h\")")]);
    let run = bench.post("/api/v1/workflows/w/runs", &json!({})).json()["run"].as_str().expect("an id").to_owned();
    let body = "POST /api/v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n";
    let watch = format!("GET /api/v1/runs/{run}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let came = at_server(&bench, FEW, async |address| {
        let mut streams = [sent(address, &watch).await, sent(address, &watch).await];
        let mut posts = [sent(address, body).await, sent(address, body).await];
        let mut seen = Vec::new();
        for stream in &mut streams {
            seen.push(status(stream).await);
        }
        // All places of the address are in use for far longer than it may be idle.
        for _ in 0..8 {
            tokio::time::timeout(FEW.idle, std::future::pending::<()>()).await.expect_err("time passes");
            seen.push(status(&mut sent(address, LIST).await).await);
            seen.push(status(&mut sent(address, HEALTH).await).await);
        }
        for post in &mut posts {
            post.write_all(b"{\"name\":\"a.b\"}").await.expect("writes");
            seen.push(status(post).await);
        }
        seen
    });
    let beside = ["503", "200"].repeat(8);
    assert_eq!(came, [vec!["200", "200"], beside, vec!["202", "202"]].concat());
}
