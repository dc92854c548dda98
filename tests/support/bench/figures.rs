//! What a delivery takes of a program and the machine, and how it is measured: against servers that cost next to nothing.

use super::clients::Client;
use super::cost::{Mail, Place, Run, Way};
use super::line::{Line, Trip};
use super::meter::cpu_of_children;
use std::thread;
use std::time::Instant;

/// How often a time is taken; the median counts.
const TIMES: usize = 9;
/// The same on the line, where little varies.
const TRIPS: usize = 3;
/// Deliveries at once, and how many one after another in each place.
const AT_ONCE: usize = 20;
const IN_TURN: usize = 10;
/// So long a time can be measured by a clock of hundredths.
const SECONDS_OF_CPU: f64 = 1.0;

/// The servers.
pub struct Places {
    /// That add nothing.
    pub prompt: Place,
    /// That speak as relays do; on this machine, and at the near end of the line.
    pub near: Place,
    pub far: Place,
    /// With longer chains of certificates, as they are seen on the Internet.
    pub chains: [Place; 2],
}

/// Of a way that the program cannot go, nothing.
#[derive(Default)]
pub struct Figures {
    pub label: String,
    /// By [`Way`], as is all that has four.
    pub instructions: [Option<f64>; 4],
    /// By STARTTLS with the shortest chain and with the longer ones; with Debian's CAs and with one.
    pub chains: [[Option<f64>; 2]; 3],
    /// To 1 and to 20 recipients.
    pub trips: [[Option<Trip>; 4]; 2],
    /// KiB; in clear and by STARTTLS, with a login where it can, as is all that has two.
    pub resident: [Option<f64>; 2],
    /// In clear; of 1 KiB and of 10 MiB.
    pub calls: [Option<f64>; 2],
    /// Milliseconds for 1 KiB.
    pub cpu: [Option<f64>; 2],
    /// And for 10 MiB.
    pub cpu_large: [Option<f64>; 2],
    /// Milliseconds for 1 KiB on this machine.
    pub wall: [Option<f64>; 2],
    /// The same with servers that speak as relays do.
    pub wall_of_relays: [Option<f64>; 2],
    /// Messages of 1 KiB, 20 at once.
    pub per_second: [Option<f64>; 2],
}

impl Figures {
    pub fn measure(places: &Places, line: &Line, client: &Client) -> Figures {
        eprintln!("{}", client.name);
        let mut figures = Figures { label: client.label(), ..Figures::default() };
        let place = &places.prompt;
        for (n, way) in Way::ALL.into_iter().enumerate() {
            let run = client.run(place, &place.mail(way));
            if let Err(why) = place.deliver(way, &run, &[]) {
                assert!(!client.is_ours(), "{why}");
                eprintln!("not by {}: {why}", way.name());
                continue;
            }
            figures.instructions[n] = Some(place.instructions(way, &run) as f64);
            figures.trips[0][n] = trip(places, line, client, places.far.mail(way));
            figures.trips[1][n] = trip(places, line, client, places.far.mail(way).to(20));
            match way {
                Way::Clear => {
                    figures.rest(places, client, way, 0);
                    let run = client.run(place, &place.large_mail(way));
                    figures.calls[1] = Some(place.calls(way, &run) as f64);
                    let run = client.run(place, &place.mail(way));
                    figures.calls[0] = Some(place.calls(way, &run) as f64);
                }
                Way::StartTlsAuth => {
                    figures.rest(places, client, way, 1);
                    figures.chains(places, client);
                }
                Way::ClearAuth | Way::Port465Auth => {}
            }
        }
        figures
    }

    /// A process that does nothing: what no program can do without.
    pub fn of_nothing(place: &Place) -> Figures {
        let run = Run {
            program: "/bin/true".into(),
            says: "",
            ..place.qmail_remote("".as_ref(), &place.mail(Way::Clear), "", ' ')
        };
        let time = || milliseconds(|| run.under(&[]).unwrap());
        let mut figures = Figures { label: "/bin/true, for comparison".into(), ..Figures::default() };
        figures.cpu[0] = Some(cpu(&run));
        figures.wall[0] = Some(median(TIMES, time));
        figures
    }

    fn rest(&mut self, places: &Places, client: &Client, way: Way, column: usize) {
        let place = &places.prompt;
        let run = client.run(place, &place.large_mail(way));
        self.cpu_large[column] = Some(median(TIMES, || place.cpu(way, &run)));
        let run = client.run(&places.near, &places.near.mail(way));
        self.wall_of_relays[column] = Some(median(TIMES, || wall(&places.near, way, &run)));
        let run = client.run(place, &place.mail(way)); // its files last, since they are those of what follows
        self.resident[column] = Some(median(TIMES, || place.resident(way, &run) as f64));
        self.wall[column] = Some(median(TIMES, || wall(place, way, &run)));
        self.per_second[column] = Some(per_second(place, way, &run));
        self.cpu[column] = Some(cpu(&run));
    }

    fn chains(&mut self, places: &Places, client: &Client) {
        let way = Way::StartTlsAuth;
        for (place, cells) in [&places.prompt, &places.chains[0], &places.chains[1]].into_iter().zip(&mut self.chains) {
            let run = client.run(place, &place.mail(way));
            cells[0] = Some(place.instructions(way, &run) as f64);
            place.trust_one_ca();
            cells[1] = Some(place.instructions(way, &run) as f64);
            place.trust_debians_cas_too();
        }
    }
}

fn trip(places: &Places, line: &Line, client: &Client, mail: Mail) -> Option<Trip> {
    let deliver = |run: &Run| places.far.deliver(mail.way, run, &[]);
    let run = line.at_far_end(|| client.run(&places.far, &mail));
    match line.at_far_end(|| deliver(&run)) {
        Ok(()) => Some(line.trip(TRIPS, || deliver(&run).unwrap())),
        Err(why) => {
            eprintln!("not over the line: {why}");
            None
        }
    }
}

pub fn milliseconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1000.0
}

fn wall(place: &Place, way: Way, run: &Run) -> f64 {
    milliseconds(|| place.deliver(way, run, &[]).unwrap())
}

/// Milliseconds of a run, user and system.
fn cpu(run: &Run) -> f64 {
    let before = cpu_of_children();
    let mut runs = 0.0;
    loop {
        run.under(&[]).unwrap();
        runs += 1.0;
        let used = cpu_of_children() - before;
        if used > SECONDS_OF_CPU {
            return used * 1000.0 / runs;
        }
    }
}

fn per_second(place: &Place, way: Way, run: &Run) -> f64 {
    place.sink(way).taken();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| (0..IN_TURN).for_each(|_| run.under(&[]).unwrap()));
        }
    });
    let elapsed = start.elapsed().as_secs_f64();
    assert_eq!(place.sink(way).taken(), AT_ONCE * IN_TURN);
    (AT_ONCE * IN_TURN) as f64 / elapsed
}

pub fn median(times: usize, measure: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = std::iter::repeat_with(measure).take(times).collect();
    values.sort_by(f64::total_cmp);
    values[times / 2]
}
