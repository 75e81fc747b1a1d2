//! No network, unless it was given: then as much as was given.

use crate::prepared::BOTH;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Says back what it hears, in capitals, until the other side is done; once.
fn shouting() -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 1000];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                n => stream.write_all(&buffer[..n].to_ascii_uppercase()).unwrap(),
            }
        }
    });
    (port, server)
}

#[tokio::test]
async fn python_talks_to_whom_it_may() {
    for runtime in BOTH {
        let (port, server) = shouting();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let builder = runtime.python().sandbox().tcp(move |host, other| {
            seen.lock().unwrap().push((host.to_owned(), other));
            host == "127.0.0.1" && other == port
        });
        let mut sandbox = builder.build().await.unwrap();
        let code = format!(
            "
import socket
with socket.create_connection(('127.0.0.1', {port}), 10) as s:
    s.sendall(b'hello' * 1000)
    heard = b''
    while len(heard) < 5000:
        heard += s.recv(100_000)
    print(heard == b'HELLO' * 1000)
try:
    socket.create_connection(('127.0.0.1', 1), 10)
except Exception as e:
    print(e)
"
        );
        let output = sandbox.execute(&code).await.unwrap();
        let expected = "True\n";
        assert!(
            output.stdout.starts_with(expected),
            "{runtime:?}: {output:?}"
        );
        assert!(
            output.stdout.contains("not allowed"),
            "{runtime:?}: {output:?}"
        );
        let host = "127.0.0.1".to_owned();
        assert_eq!(*asked.lock().unwrap(), [(host.clone(), port), (host, 1)]);
        // What is still open ends with the sandbox.
        drop(sandbox);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn waiting_for_an_answer_is_bounded_by_the_timeout_and_closed_ports_are_errors() {
    for runtime in BOTH {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = closed.local_addr().unwrap().port();
        drop(closed);
        let builder = runtime.python().sandbox().tcp(|_, _| true);
        let mut sandbox = builder.build_blocking().unwrap();
        let code = format!(
            "
import socket
s = socket.create_connection(('127.0.0.1', {port}), 10)
s.settimeout(0.05)
for action in [lambda: s.recv(1), lambda: socket.create_connection(('127.0.0.1', {nobody}), 10)]:
    try:
        action()
        print('done')
    except Exception as e:
        print(type(e).__name__, e)
"
        );
        let output = sandbox.execute_blocking(&code).unwrap();
        let lines: Vec<String> = output.stdout.lines().map(str::to_lowercase).collect();
        // The runtimes have different words for them.
        let lines: Vec<String> = lines.iter().map(|line| line.replace('-', " ")).collect();
        assert_eq!(lines.len(), 2, "{runtime:?}: {output:?}");
        assert!(lines[0].contains("timed out"), "{runtime:?}: {lines:?}");
        assert!(lines[1].contains("refused"), "{runtime:?}: {lines:?}");
    }
}

#[tokio::test]
async fn without_it_nobody_is_connected_to() {
    for runtime in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let code = format!(
            "import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 1)\n\
             except Exception as e:\n    print(type(e).__name__, e)"
        );
        let mut sandbox = runtime.python().sandbox().build().await.unwrap();
        let output = sandbox.execute(&code).await.unwrap();
        let refusal = "not offered by this host";
        assert!(output.stdout.contains(refusal), "{runtime:?}: {output:?}");
        let error = listener.accept().unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "somebody connected"
        );
    }
}
