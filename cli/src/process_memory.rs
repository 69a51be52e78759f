//! What the process asks of the C library and the kernel, so that it keeps no memory without use.

use std::time::Duration;

/// Bounds the allocator's arenas to as many as threads run at once (mallopt(3)). By itself glibc makes
/// eight a core, of which each keeps its own free blocks: after a load the server held 18 MiB more, and
/// was no faster. Call it before there are other threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn bound_arenas() {
    let arenas = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let arenas = libc::c_int::try_from(arenas).unwrap_or(libc::c_int::MAX);
    #[expect(unsafe_code, reason = "the C library offers no other way")]
    // SAFETY: mallopt takes two numbers, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}

/// Other C libraries have no such arenas.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn bound_arenas() {}

/// A start is over by then.
const SETTLED: Duration = Duration::from_secs(1);
/// How long memory that nothing uses is kept, under load too.
const KEPT: Duration = Duration::from_secs(10);
/// Work since memory was given back that makes it worth while again, in time of processors: some tens of requests.
const WORTH_WHILE: Duration = Duration::from_millis(20);

/// Gives back what the process does not use, in the background: once it has started, and again while it works and
/// after it has. What is used then maps its pages again, in less than a millisecond.
pub fn give_back_what_is_not_used() {
    tokio::spawn(async {
        tokio::time::sleep(SETTLED).await;
        loop {
            trim_heap();
            unmap_program();
            let given_back = time_used();
            while time_used().saturating_sub(given_back) <= WORTH_WHILE {
                tokio::time::sleep(KEPT).await;
            }
        }
    });
}

/// Of processors, by all threads.
fn time_used() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Gives free pages of the heap back to the kernel (malloc_trim(3)), which the allocator by itself does
/// only at the heap's end.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim_heap() {
    #[expect(unsafe_code, reason = "the C library offers no other way")]
    // SAFETY: any thread may call it at any time; it touches what is free only.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const fn trim_heap() {}

/// Unmaps the program's own file (madvise(2), `MADV_DONTNEED`), so that of its pages only those count as
/// memory of the process, and stand in the way of reclaim, that it touches again. Most of what a start
/// maps nothing uses after it, not least because the kernel maps sixteen pages where one is touched. They
/// stay in the page cache, and are mapped from there without a read.
#[cfg(target_os = "linux")]
fn unmap_program() {
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::env::current_exe())
    else {
        return;
    };
    for range in unwritten(&program, &maps) {
        let start = std::ptr::without_provenance_mut(range.start);
        #[expect(unsafe_code, reason = "the kernel cannot know that the range is as in the file")]
        // SAFETY: the range is mapped from the program's file and was not written, unless by a debugger,
        // so that the kernel maps the same bytes again. A refusal changes nothing.
        unsafe {
            libc::madvise(start, range.len(), libc::MADV_DONTNEED);
        }
    }
}

/// Elsewhere the pages stay as they are.
#[cfg(not(target_os = "linux"))]
const fn unmap_program() {}

/// Addresses at which `maps` (proc_pid_maps(5)) shows what nobody writes of the file `program`: its code,
/// and the constants that a linker puts first. Other constants may hold addresses that were written at the
/// start (RELRO). Lines of another form are passed over.
#[cfg(target_os = "linux")]
fn unwritten<'a>(
    program: &'a std::path::Path,
    maps: &'a str,
) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        // address, permissions, offset, device, inode, path; runs of spaces only before the path
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let (permissions, offset) = (fields.next()?, fields.next()?);
        let path = fields.nth(2)?.trim_start();
        let is_first = offset.bytes().all(|digit| digit == b'0');
        let is_unwritten = permissions == "r-xp" || (permissions == "r--p" && is_first);
        if !is_unwritten || std::path::Path::new(path) != program {
            return None;
        }
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        Some(address(start)?..address(end)?).filter(|range| !range.is_empty())
    })
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_may_have_been_written_stays() {
        let maps = "\
55d0c0000000-55d0c0400000 r--p 00000000 fe:00 131 /opt/way bill/waybill
55d0c0400000-55d0c2000000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill
55d0c2000000-55d0c2100000 r--p 02000000 fe:00 131                        /opt/way bill/waybill
55d0c2100000-55d0c2200000 rw-p 02100000 fe:00 131                        /opt/way bill/waybill
55d0c2200000-55d0c2300000 rwxp 02200000 fe:00 131                        /opt/way bill/waybill
7f0000000000-7f0000100000 r-xp 00000000 fe:00 977                        /usr/lib/libc.so.6
7f0000200000-7f0000300000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
zz-55d0c2000000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill
55d0c2000000-55d0c0400000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill

r-xp
";
        let found: Vec<_> = unwritten(Path::new("/opt/way bill/waybill"), maps).collect();
        assert_eq!(found, [0x55d0_c000_0000..0x55d0_c040_0000, 0x55d0_c040_0000..0x55d0_c200_0000]);
        assert_eq!(unwritten(Path::new("/opt/other"), maps).count(), 0);
    }

    fn resident_kib(kind: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn an_unmapped_program_is_no_memory_of_the_process() {
        let before = resident_kib("RssFile:");
        unmap_program();
        let after = resident_kib("RssFile:");
        assert!(after < before, "{before} KiB of files were mapped, and now {after}");
    }

    #[test]
    fn holes_in_the_heap_go_back() {
        const KIB: u64 = 64 << 10;
        let blocks: Vec<Box<[u8]>> = (0..KIB).map(|_| vec![1; 1 << 10].into_boxed_slice()).collect();
        // Those that stay keep the heap from ending earlier.
        let kept: Vec<_> = blocks.into_iter().step_by(64).collect();
        let before = resident_kib("RssAnon:");
        trim_heap();
        let after = resident_kib("RssAnon:");
        assert!(after + KIB / 2 < before, "{before} KiB, and now {after}, of which {} are held", kept.len());
    }

    #[test]
    fn work_takes_time_of_processors() {
        let before = time_used();
        let mut sum = 0_u64;
        while time_used() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 1_000, "{sum} rounds took 5 ms");
    }
}
