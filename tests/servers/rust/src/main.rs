//! A service with an allocator of its own inside its executable, that counts what it asks of it: threads that answer lines
//! on a socket and keep every tenth of them. Prints `own ALLOCATIONS BYTES FREES` at its end.
use std::alloc::{GlobalAlloc, Layout};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;

#[cfg(feature = "jemalloc")]
static INNER: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
#[cfg(feature = "mimalloc")]
static INNER: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

fn count(block: *mut u8, bytes: usize) -> *mut u8 {
    if !block.is_null() {
        ALLOCATIONS.fetch_add(1, Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
    block
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(INNER.alloc(layout), layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(INNER.alloc_zeroed(layout), layout.size())
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        FREES.fetch_add(1, Relaxed);
        INNER.dealloc(block, layout)
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        FREES.fetch_add(1, Relaxed);
        count(INNER.realloc(block, layout, bytes), bytes)
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;
static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn serve(stream: TcpStream) -> bool {
    let mut out = stream.try_clone().unwrap();
    for (n, line) in BufReader::new(stream).lines().enumerate() {
        let line = line.unwrap();
        if line == "end" {
            return true;
        }
        let answer = line.repeat(50);
        writeln!(out, "{}", answer.len()).unwrap();
        if n % 10 == 0 {
            KEPT.lock().unwrap().push(answer);
        }
    }
    false
}

fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("port {}", listener.local_addr().unwrap().port());
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut first = [0u8; 1];
        if stream.peek(&mut first).unwrap() == 1 && first[0] == b'e' {
            break;
        }
        threads.push(std::thread::spawn(move || serve(stream)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    println!("kept {}", KEPT.lock().unwrap().len());
    let own = [&ALLOCATIONS, &BYTES, &FREES].map(|n| n.load(Relaxed));
    println!("own {} {} {}", own[0], own[1], own[2]);
}
