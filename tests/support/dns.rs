//! Names for a test in a namespace of its own: Debian's dnsmasq, and behind it a server that fails, is silent, or says what
//! dnsmasq cannot say.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What dnsmasq knows. Nothing else is in `test`; other domains are refused.
const RECORDS: [&str; 30] = [
    "--local=/test/",
    "--host-record=example.test,192.0.2.7",
    "--host-record=both.test,192.0.2.7,2001:db8::7",
    "--host-record=six.test,2001:db8::7",
    "--host-record=mx1.test,192.0.2.7",
    "--host-record=mx2.test,192.0.2.8",
    "--host-record=mx3.test,192.0.2.9",
    "--host-record=own.test,192.0.2.1",
    "--host-record=own6.test,2001:db8::1",
    "--host-record=hole.test,198.51.100.7",
    "--mx-host=one.test,mx1.test,10",
    "--mx-host=two.test,mx2.test,10",
    "--mx-host=two.test,mx1.test,20",
    "--mx-host=equal.test,mx1.test,10",
    "--mx-host=equal.test,mx2.test,10",
    "--mx-host=dead.test,nohost.test,10",
    "--mx-host=halfdead.test,nohost.test,10",
    "--mx-host=halfdead.test,mx1.test,20",
    "--mx-host=toself.test,own.test,10",
    "--mx-host=backup.test,mx1.test,10",
    "--mx-host=backup.test,own.test,20",
    "--mx-host=backup.test,mx2.test,30",
    "--mx-host=toself6.test,own6.test,10",
    "--mx-host=toself6.test,mx2.test,20",
    "--mx-host=holes.test,hole.test,10",
    "--mx-host=holes.test,mx1.test,20",
    "--mx-host=better-unknown.test,fails.odd.test,5",
    "--mx-host=better-unknown.test,own.test,10",
    "--cname=alias.test,one.test",
    "--cname=aliasofhost.test,example.test",
];

pub struct Dns {
    dnsmasq: Child,
}

impl Dns {
    /// Begins, and makes it the resolver of this namespace. The names below `odd.test`: what begins with `null` has a null MX,
    /// `silent` gets no answer, all others SERVFAIL.
    pub fn start() -> Dns {
        let odd = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = format!("--server=/odd.test/127.0.0.1#{}", odd.local_addr().unwrap().port());
        thread::spawn(move || serve(&odd));
        fs::write("/etc/nsswitch.conf", "hosts: files dns\n").unwrap();
        fs::write("/etc/resolv.conf", "nameserver 127.0.0.1\nsearch one.test\noptions timeout:1 attempts:1\n").unwrap();
        fs::write("/etc/passwd", "root:x:0:0::/:/bin/sh\n").unwrap();
        fs::write("/etc/group", "root:x:0:\n").unwrap();
        let mut command = Command::new("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]);
        command.args(["--user=root", "--group=root", "--listen-address=127.0.0.1", "--bind-interfaces", "--no-daemon"]);
        let dnsmasq = command.args(RECORDS).arg(server).stderr(Stdio::null()).spawn().unwrap();
        let dns = Dns { dnsmasq };
        wait_for_answer();
        dns
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.dnsmasq.kill();
        let _ = self.dnsmasq.wait();
    }
}

fn wait_for_answer() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let start = Instant::now();
    loop {
        let _ = socket.send_to(b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03one\x04test\0\0\x0f\0\x01", "127.0.0.1:53");
        if socket.recv(&mut [0; 512]).is_ok() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "dnsmasq does not answer");
        thread::sleep(Duration::from_millis(20));
    }
}

fn serve(socket: &UdpSocket) {
    let mut room = [0; 512];
    while let Ok((length, peer)) = socket.recv_from(&mut room) {
        let mut answer = room[..length].to_vec();
        let label = answer[13..].to_ascii_lowercase();
        if label.starts_with(b"silent") {
            continue;
        }
        answer[2] |= 0x80;
        if label.starts_with(b"null") {
            answer[3] = 0x80;
            answer[7] = 1;
            answer.truncate(end_of_question(&answer));
            (answer[9], answer[11]) = (0, 0);
            answer.extend_from_slice(b"\xc0\x0c\0\x0f\0\x01\0\0\0\x3c\0\x03\0\0\0");
        } else {
            answer[3] = 0x82;
        }
        let _ = socket.send_to(&answer, peer);
    }
}

fn end_of_question(query: &[u8]) -> usize {
    let name = query[12..].iter().position(|c| *c == 0).unwrap();
    12 + name + 5
}
