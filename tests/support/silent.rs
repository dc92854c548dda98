//! A name server that takes a question and says nothing, and a program that waits for it.

use super::names::{A, MX, mx, question, response};
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A name server that has the answers for good.example alone. For all else but some.example's MX it says that its answer is to be
/// asked for over TCP, where it takes the question and says nothing.
pub struct SilentOverTcp {
    questions: Receiver<TcpStream>,
    /// The names, in their order.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl SilentOverTcp {
    pub fn start() -> SilentOverTcp {
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:53").unwrap());
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let names = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let query = &buffer[..length];
                names.lock().unwrap().push(question(query).unwrap().0);
                udp.send_to(&reply(query), peer).unwrap();
            }
        });
        let (sender, questions) = channel();
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                if stream.read_exact(&mut [0; 14]).is_ok() {
                    let _ = sender.send(stream);
                }
            }
        });
        SilentOverTcp { questions, asked }
    }

    /// Runs the command, and once it waits for an answer over TCP lets its time be over.
    pub fn run(&self, mut command: Command) -> Output {
        command.stdin(fs::File::open("/dev/null").unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let connection = self.questions.recv_timeout(Duration::from_secs(20)).expect("nothing was asked over TCP");
        let killed = Command::new("kill").args(["-ALRM", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(20) {
                child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(1));
        }
        let output = child.wait_with_output().unwrap();
        drop(connection);
        output
    }
}

fn reply(query: &[u8]) -> Vec<u8> {
    let (name, kind, _) = question(query).unwrap();
    let records = match (name.as_str(), kind) {
        ("some.example", MX) => vec![mx(10, "good.example"), mx(20, "silent.example"), mx(30, "later.example")],
        ("good.example", A) => vec![(A, vec![192, 0, 2, 7])],
        _ => vec![],
    };
    let is_cut = records.is_empty() && name != "good.example";
    let mut reply = response(query, 0, records).unwrap();
    reply[2] |= if is_cut { 2 } else { 0 };
    reply
}
