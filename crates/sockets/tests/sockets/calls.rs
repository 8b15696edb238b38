//! What each call means, with threads that wait.

use super::net::*;
use gapless_sockets::blocking::TcpStream;
use gapless_sockets::{
    AcceptError, CloseReason, ConnectError, ReadError, Sockets, StackConfig, System, WriteError,
};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(30);

/// Counts how often it is woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_echo_over_a_path_that_loses() {
    let wire = Wire::new(20);
    let listener = wire.listen();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut octets = Vec::new();
            stream.read_to_end(&mut octets).unwrap();
            stream.write_all(&octets).unwrap();
        });
        let mut stream = wire.dial();
        let sent: Vec<u8> = (0..300_000_u32).map(|it| (it / 3) as u8).collect();
        thread::scope(|scope| {
            let half = stream.another();
            let sent = &sent;
            scope.spawn(move || {
                (&half).write_all(sent).unwrap();
                half.shutdown(Shutdown::Write);
            });
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert!(back == *sent);
        });
    });
}

#[test]
fn nobody_there_is_refused_and_a_bad_address_is_not_tried() {
    let wire = Wire::new(0);
    let error = TcpStream::connect(&wire.net.ends[0], server()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("refused"), "{error}");
    let nowhere = "0.0.0.0:80".parse().unwrap();
    let error = TcpStream::connect(&wire.net.ends[0], nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let six = "[2001:db8::1]:80".parse().unwrap();
    let error = TcpStream::connect(&wire.net.ends[0], six).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_dial_that_takes_too_long_is_given_up_and_leaves_nothing() {
    let net = Net::new(
        [1, 2].map(|host| System::new(core(host, StackConfig::default()))),
        0,
    );
    // Nobody carries packets.
    let error = TcpStream::connect_timeout(&net.ends[0], server(), SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(net.ends[0].with_stack(|stack| stack.connections()), 0);
}

#[test]
fn times_to_wait() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (mut near, _far) = wire.both(&listener);
    assert_eq!(
        near.set_read_timeout(Some(Duration::ZERO))
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    near.set_read_timeout(Some(SOON)).unwrap();
    near.set_write_timeout(Some(SOON)).unwrap();
    let began = Instant::now();
    assert_eq!(
        near.read(&mut [0; 9]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert!(began.elapsed() >= SOON);
    // Until the peer's buffer and ours are full.
    let error = (0..1000).find_map(|_| near.write_all(&[7; 4096]).err());
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::WouldBlock));
}

#[test]
fn who_waits_to_read_is_told_of_each_end() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    type Ends = (fn(&TcpStream), Result<usize, ErrorKind>);
    let ends: [Ends; 4] = [
        (|far| far.shutdown(Shutdown::Write), Ok(0)),
        (|far| far.stream().abort(), Err(ErrorKind::ConnectionReset)),
        (|far| (&*far).write_all(b"x").unwrap(), Ok(1)),
        (
            |far| {
                far.stream().set_linger(Some(Duration::ZERO));
            },
            Err(ErrorKind::ConnectionReset),
        ),
    ];
    for (end, expected) in ends {
        let (mut near, far) = wire.both(&listener);
        let reader = thread::spawn(move || near.read(&mut [0; 10]).map_err(|error| error.kind()));
        thread::sleep(SOON);
        end(&far);
        drop(far);
        assert_eq!(reader.join().unwrap(), expected);
    }
}

#[test]
fn who_waits_is_told_of_what_this_side_does() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, _far) = wire.both(&listener);
    let reader = near.another();
    let reader = thread::spawn(move || (&reader).read(&mut [0; 10]).map_err(|it| it.kind()));
    thread::sleep(SOON);
    near.shutdown(Shutdown::Read);
    assert_eq!(reader.join().unwrap(), Ok(0));

    // A writer that has filled all buffers.
    let writer = near.another();
    let writer = thread::spawn(move || {
        loop {
            if let Err(error) = (&writer).write_all(&[7; 4096]) {
                return error.kind();
            }
        }
    });
    thread::sleep(SOON);
    near.shutdown(Shutdown::Write);
    assert_eq!(writer.join().unwrap(), ErrorKind::BrokenPipe);

    let (near, _far) = wire.both(&listener);
    let reader = near.another();
    let reader = thread::spawn(move || (&reader).read(&mut [0; 10]).map_err(|it| it.kind()));
    thread::sleep(SOON);
    near.stream().abort();
    assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionAborted));
}

#[test]
fn an_interface_that_is_gone_is_told_to_everybody() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, far) = wire.both(&listener);
    let waiters = [
        thread::spawn(move || (&near).read(&mut [0; 10]).unwrap_err().kind()),
        thread::spawn(move || listener.accept().map(drop).unwrap_err().kind()),
    ];
    thread::sleep(SOON);
    for end in &wire.net.ends {
        end.take_down();
    }
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), ErrorKind::NetworkDown);
    }
    assert_eq!(
        (&far).write(b"x").unwrap_err().kind(),
        ErrorKind::NetworkDown
    );
    let error = wire.net.ends[0].start_connect(None, server()).unwrap_err();
    assert_eq!(error, ConnectError::Down);
}

#[test]
fn what_was_written_before_letting_go_arrives_and_then_nothing_is_left() {
    let config = StackConfig {
        connection: gapless_tcp::Config {
            time_wait: SOON,
            ..gapless_tcp::Config::default()
        },
        ..StackConfig::default()
    };
    let wire = Wire::with(config, 10);
    let listener = wire.listen();
    let (mut near, mut far) = wire.both(&listener);
    near.write_all(&[3; 50_000]).unwrap();
    drop(near);
    let mut octets = Vec::new();
    far.read_to_end(&mut octets).unwrap();
    assert!(octets == [3; 50_000]);
    drop(far);
    let left = || {
        let counts = wire.net.ends.each_ref();
        counts.map(|end| end.with_stack(|stack| stack.connections()))
    };
    for _ in 0..200 {
        if left() == [0, 0] {
            return;
        }
        thread::sleep(SOON);
    }
    panic!("{:?} connections are left", left());
}

#[test]
fn delivered_means_that_the_peer_has_it() {
    let wire = Wire::new(5);
    let listener = wire.listen();
    let (mut near, mut far) = wire.both(&listener);
    near.write_all(&[1; 20_000]).unwrap();
    near.deliver().unwrap();
    // It is all there already.
    assert_eq!(far.peek(&mut [0; 65_536]).unwrap(), 20_000);
    let mut all = vec![0; 20_000];
    far.read_exact(&mut all).unwrap();
    far.stream().abort();
    // The reset may be lost; what is written then brings another.
    let error = (0..1000).find_map(|_| {
        thread::sleep(SOON / 10);
        near.write_all(b"more").err()
    });
    let kind = error.map(|error| error.kind());
    assert_eq!(kind, Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_peek_takes_nothing() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (mut near, mut far) = wire.both(&listener);
    near.write_all(b"seen").unwrap();
    let mut some = [0; 3];
    assert_eq!(far.peek(&mut some).unwrap(), 3);
    assert_eq!(&some, b"see");
    near.shutdown(Shutdown::Write);
    let mut all = String::new();
    far.read_to_string(&mut all).unwrap();
    assert_eq!(all, "seen");
    assert_eq!(far.peek(&mut some).unwrap(), 0);
}

#[test]
fn each_listener_has_its_own_guests_and_its_own_waiters() {
    let wire = Wire::new(0);
    let [near, far] = &wire.net.ends;
    let first = far.listen(None, Some(1), 4).unwrap();
    let second = far.listen(None, Some(2), 4).unwrap();
    let counters = [Counter::default(), Counter::default()].map(Arc::new);
    let wakers = counters.clone().map(Waker::from);
    let [one, two] = wakers.each_ref().map(Context::from_waker);
    assert!(first.poll_accept(&one).is_pending());
    assert!(second.poll_accept(&two).is_pending());
    let _dialed = TcpStream::connect(near, (address(2), 2).into()).unwrap();
    wait_until(|| counters[1].woken() > 0);
    assert_eq!(counters[0].woken(), 0);
    let Poll::Ready(Ok(stream)) = second.poll_accept(&two) else {
        panic!("woken for nothing");
    };
    assert_eq!(stream.local_addr().port(), 2);
    assert_eq!(first.try_accept().unwrap_err(), AcceptError::WouldBlock);
}

#[test]
fn a_proxy_decides_before_it_answers() {
    let wire = Wire::new(0);
    let [near, far] = &wire.net.ends;
    let listener = far.listen_holding(None, Some(PORT), 4).unwrap();
    for answers in [true, false] {
        let dial = near.start_connect(None, server()).unwrap();
        let offered = wait_for(listener.offered()).unwrap();
        assert_eq!(offered.peer_addr(), dial.local_addr());
        let waker = Waker::noop();
        assert!(
            dial.poll_connected(&Context::from_waker(waker))
                .is_pending()
        );
        if answers {
            let stream = offered.answer();
            wait_for(dial.connected()).unwrap();
            wait_for(stream.connected()).unwrap();
        } else {
            drop(offered);
            let refused = Err(ConnectError::Failed(CloseReason::Refused));
            assert_eq!(wait_for(dial.connected()), refused);
        }
    }
}

#[test]
fn who_lost_patience_is_forgotten() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, mut far) = wire.both(&listener);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    for _ in 0..1000 {
        let mut octets = [0; 4];
        let read = pin!(near.stream().read(&mut octets));
        assert!(read.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // The waker of each was dropped with it.
    assert_eq!(Arc::strong_count(&counter), 2);
    far.write_all(b"x").unwrap();
    wait_until(|| near.stream().try_read(&mut [0; 4]) == Ok(1));
    assert_eq!(counter.woken(), 0);
}

#[test]
fn the_task_that_polled_last_is_woken_and_those_that_wait_are_all() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, mut far) = wire.both(&listener);
    let counters: [Arc<Counter>; 4] = Default::default();
    let wakers = counters.clone().map(Waker::from);
    let [first, second, third, fourth] = wakers.each_ref().map(Context::from_waker);
    let stream = near.stream();
    assert!(stream.poll_read(&first, &mut [0; 4]).is_pending());
    assert!(stream.poll_read(&second, &mut [0; 4]).is_pending());
    let mut waits = [third, fourth].map(|cx| (Box::pin(stream.readable()), cx));
    for (wait, cx) in &mut waits {
        assert!(wait.as_mut().poll(cx).is_pending());
    }
    far.write_all(b"x").unwrap();
    wait_until(|| counters[1..].iter().all(|counter| counter.woken() == 1));
    assert_eq!(counters[0].woken(), 0);
    drop(waits);
}

/// What cannot be read or written makes nobody who waits for the other turn around.
#[test]
fn who_waits_to_write_is_not_woken_by_what_comes() {
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, mut far) = wire.both(&listener);
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(counter.clone());
    let cx = Context::from_waker(&waker);
    // Until all buffers on the way are full, and it is told of no room any more.
    let mut before = usize::MAX;
    while before != counter.woken() {
        before = counter.woken();
        while near.stream().poll_write(&cx, &[7; 4096]).is_ready() {}
        thread::sleep(10 * SOON);
    }
    far.write_all(b"x").unwrap();
    wait_until(|| near.stream().try_read(&mut [0; 4]) == Ok(1));
    assert_eq!(counter.woken(), before);
    assert_eq!(near.stream().try_write(b"x"), Err(WriteError::WouldBlock));
    assert_eq!(
        near.stream().try_read(&mut [0; 4]),
        Err(ReadError::WouldBlock)
    );
}

/// The last waker of a task takes with it what the task holds, a stream for instance, whose end wants the lock.
#[test]
fn a_waker_that_holds_a_stream_may_be_dropped_by_anybody() {
    struct Holds(#[expect(dead_code)] TcpStream);
    impl Wake for Holds {
        fn wake(self: Arc<Self>) {}
    }
    let wire = Wire::new(0);
    let listener = wire.listen();
    let (near, _far) = wire.both(&listener);
    let (held, _other) = wire.both(&listener);
    let waker = Waker::from(Arc::new(Holds(held)));
    let cx = Context::from_waker(&waker);
    assert!(near.stream().poll_read(&cx, &mut [0; 4]).is_pending());
    drop(waker);
    // Takes its place, and so drops the last one.
    let cx = Context::from_waker(Waker::noop());
    assert!(near.stream().poll_read(&cx, &mut [0; 4]).is_pending());
    wait_until(|| wire.net.ends[0].with_stack(|stack| stack.connections()) < 3);
}

fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came to that");
}

fn wait_for<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut output = None;
    for _ in 0..1000 {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(ready) = future.as_mut().poll(&mut cx) {
            output = Some(ready);
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    output.expect("it takes no five seconds")
}

/// One handle, sent and shared.
#[test]
fn the_handle_may_go_anywhere() {
    fn may_go<T: Send + Sync + Clone + 'static>() {}
    may_go::<Sockets<System>>();
    fn may_be_shared<T: Send + Sync + 'static>() {}
    may_be_shared::<gapless_sockets::Stream<System>>();
    may_be_shared::<gapless_sockets::Listener<System>>();
}
