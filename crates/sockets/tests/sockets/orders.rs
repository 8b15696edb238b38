//! All kinds of orders in which threads can run: shuttle chooses them, and says so when everybody sleeps.

use super::net::{Net, PORT, core, server};
use super::pattern::{fill, wrong};
use gapless_sockets::{Core, Host, Instant, Sleep, StackConfig, Stream};
use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread::{self, JoinHandle};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How many orders each test tries.
const ORDERS: usize = 400;

const OCTETS: usize = 3000;

/// Its time moves when nothing else does.
struct Chosen {
    core: Mutex<Core>,
    now: Arc<AtomicU64>,
}

impl Host for Chosen {
    fn with<R>(&self, f: impl FnOnce(&mut Core) -> R) -> R {
        f(&mut self.core.lock().unwrap())
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::SeqCst))
    }
}

fn net() -> Arc<Net<Chosen>> {
    let now = Arc::new(AtomicU64::new(0));
    let config = StackConfig {
        connection: gapless_tcp::Config {
            // Everybody has to wait, and waits for as long as it takes.
            send_buffer: 1000,
            receive_buffer: 1000,
            user_timeout: None,
            time_wait: Duration::from_millis(1),
            ..gapless_tcp::Config::default()
        },
        ..StackConfig::default()
    };
    let hosts = [1, 2].map(|host| Chosen {
        core: Mutex::new(core(host, config.clone())),
        now: now.clone(),
    });
    Arc::new(Net::new(hosts, 0))
}

/// Threads that still use the sockets, and who wants to know when none does.
struct Users(Mutex<(usize, Option<Waker>)>);

impl Users {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((count, None))))
    }

    fn leave(&self) {
        let mut users = self.0.lock().unwrap();
        users.0 -= 1;
        let waker = users.1.take();
        drop(users);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn are_gone(&self, cx: &Context<'_>) -> bool {
        let mut users = self.0.lock().unwrap();
        users.1 = Some(cx.waker().clone());
        users.0 == 0
    }
}

/// Moves packets as long as there are any, and the time when there are none; sleeps when nothing is due at all.
async fn drive(net: &Net<Chosen>, users: &Users) {
    poll_fn(|cx| {
        loop {
            if users.are_gone(cx) {
                return Poll::Ready(());
            }
            if net.carry(0, 3) | net.carry(1, 3) {
                continue;
            }
            let sleeps = net.ends.each_ref().map(|end| end.poll_sleep(cx.waker()));
            let mut until = None;
            for sleep in sleeps {
                match sleep {
                    Sleep::NotYet => return wake(cx),
                    Sleep::Until(at) => until = [until, at].into_iter().flatten().min(),
                }
            }
            match until {
                Some(at) => {
                    let now = &net.ends[0].host().now;
                    now.fetch_max(at.as_nanos(), Ordering::SeqCst);
                    return wake(cx);
                }
                None => return Poll::Pending,
            }
        }
    })
    .await;
}

/// In a thread of its own, until these have ended.
fn drive_while_used(net: Arc<Net<Chosen>>, threads: [JoinHandle<()>; 2]) {
    let users = Users::new(threads.len());
    let driving = {
        let users = users.clone();
        thread::spawn(move || block_on(drive(&net, &users)))
    };
    for thread in threads {
        thread.join().unwrap();
        users.leave();
    }
    driving.join().unwrap();
}

/// Others first.
fn wake(cx: &Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    thread::yield_now();
    Poll::Pending
}

async fn send(stream: &Stream<Chosen>) {
    let mut octets = [0; OCTETS];
    fill(1, 0, &mut octets);
    stream.write_all(&octets).await.unwrap();
    stream.shutdown();
}

async fn receive(stream: &Stream<Chosen>) {
    let mut read = 0;
    let mut octets = [0; 700];
    loop {
        let taken = stream.read(&mut octets).await.unwrap();
        if taken == 0 {
            break;
        }
        assert_eq!(wrong(1, read, &octets[..taken]), None);
        read += taken;
    }
    assert_eq!(read, OCTETS);
}

#[test]
fn nobody_sleeps_through_what_he_waits_for() {
    let run = || {
        let net = net();
        let listener = net.ends[1].listen(None, Some(PORT), 1).unwrap();
        let accepting = thread::spawn(move || {
            block_on(async {
                let stream = listener.accept().await.unwrap();
                receive(&stream).await;
                send(&stream).await;
            });
        });
        let dialing = {
            let sockets = net.ends[0].clone();
            thread::spawn(move || {
                block_on(async {
                    let stream = sockets.connect(None, server()).await.unwrap();
                    send(&stream).await;
                    receive(&stream).await;
                });
            })
        };
        drive_while_used(net, [accepting, dialing]);
    };
    shuttle::check_random(run, ORDERS);
    shuttle::check_pct(run, ORDERS, 3);
}

/// Both directions at once, each by a thread of its own on the same stream.
#[test]
fn two_threads_share_a_stream() {
    let run = || {
        let net = net();
        let listener = net.ends[1].listen(None, Some(PORT), 1).unwrap();
        let accepting = thread::spawn(move || {
            let stream = Arc::new(block_on(listener.accept()).unwrap());
            both(&stream);
        });
        let dialing = {
            let sockets = net.ends[0].clone();
            thread::spawn(move || {
                let stream = Arc::new(sockets.start_connect(None, server()).unwrap());
                both(&stream);
            })
        };
        drive_while_used(net, [accepting, dialing]);
    };
    shuttle::check_random(run, ORDERS);
}

fn both(stream: &Arc<Stream<Chosen>>) {
    let sending = {
        let stream = stream.clone();
        thread::spawn(move || block_on(send(&stream)))
    };
    block_on(receive(stream));
    sending.join().unwrap();
}

/// A writer that waits for room, and somebody else who says that nothing more will be written.
#[test]
fn a_shutdown_reaches_the_writer_that_waits() {
    let run = || {
        let net = net();
        let _listener = net.ends[1].listen(None, Some(PORT), 1).unwrap();
        let stream = Arc::new(net.ends[0].start_connect(None, server()).unwrap());
        let writing = {
            let stream = stream.clone();
            thread::spawn(move || block_on(stream.write_all(&[0; 5000])).unwrap_err())
        };
        let shutting = thread::spawn(move || stream.shutdown());
        writing.join().unwrap();
        shutting.join().unwrap();
    };
    shuttle::check_random(run, ORDERS);
}
