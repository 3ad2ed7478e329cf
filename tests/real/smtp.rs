//! A proxy before a mail server, which holds a message where a daemon is to be killed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::kills::{Kills, Side};

/// Listens before the mail server at this address; its own port. The points are `MAIL FROM`, and `end of DATA`.
pub(crate) fn before(address: &'static str, kills: Arc<Kills>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // The thread ends with the test process.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let kills = Arc::clone(&kills);
            // Whoever breaks off has its connections closed, and that is all.
            std::thread::spawn(move || pass(&client, address, &kills));
        }
    });
    port
}

/// One conversation: a line of the client, then what the server says to it. `None` where it broke off.
fn pass(mut client: &TcpStream, address: &str, kills: &Kills) -> Option<()> {
    let server = TcpStream::connect(address).ok()?;
    let mut server = Talk { reader: BufReader::new(server.try_clone().ok()?), writer: server };
    let mut lines = BufReader::new(client);
    client.write_all(server.reply()?.as_bytes()).ok()?;
    loop {
        let line = line(&mut lines)?;
        let word = line.to_ascii_uppercase();
        if word.starts_with("MAIL FROM") && kills.holds("MAIL FROM", Side::Before) {
            return None;
        }
        server.writer.write_all(line.as_bytes()).ok()?;
        let reply = server.reply()?;
        client.write_all(reply.as_bytes()).ok()?;
        if word.starts_with("DATA") && reply.starts_with("354") {
            message(&mut lines, &mut server)?;
            let reply = server.reply()?;
            if kills.holds("end of DATA", Side::After) {
                return None;
            }
            client.write_all(reply.as_bytes()).ok()?;
        }
    }
}

/// The lines of a message, to the point that ends it.
fn message(lines: &mut impl BufRead, server: &mut Talk) -> Option<()> {
    loop {
        let line = line(lines)?;
        server.writer.write_all(line.as_bytes()).ok()?;
        if line == ".\r\n" {
            return Some(());
        }
    }
}

struct Talk {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Talk {
    /// All lines of a reply: the last has no `-` after its code.
    fn reply(&mut self) -> Option<String> {
        let mut reply = String::new();
        loop {
            let line = line(&mut self.reader)?;
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(reply);
            }
        }
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line)
}
