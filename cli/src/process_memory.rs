//! What the process asks of the C library and the kernel, so that it keeps no memory without use.

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

/// Unmaps the program's own code (madvise(2), `MADV_DONTNEED`), so that of its pages only those count as
/// the server's memory, and stand in the way of reclaim, that serving touches again: two thirds of what
/// a start maps is used by nothing after it, for the kernel maps sixteen pages where one is touched. They
/// stay in the page cache; a page that is needed is mapped again without a read.
#[cfg(target_os = "linux")]
pub fn unmap_code() {
    let (Ok(maps), Ok(program)) = (std::fs::read_to_string("/proc/self/maps"), std::env::current_exe())
    else {
        return;
    };
    for code in code_of(&program, &maps) {
        let start = std::ptr::without_provenance_mut(code.start);
        #[expect(unsafe_code, reason = "the kernel cannot know that the range is the program's code")]
        // SAFETY: the range is mapped from the program's file and cannot be written, so that each of its
        // pages is that of the file, from which the kernel maps it again. A refusal changes nothing.
        unsafe {
            libc::madvise(start, code.len(), libc::MADV_DONTNEED);
        }
    }
}

/// Elsewhere the pages stay as they are.
#[cfg(not(target_os = "linux"))]
pub const fn unmap_code() {}

/// Addresses at which `maps` (proc_pid_maps(5)) shows code of the file `program`: readable, executable,
/// not writable. Lines of another form are passed over.
#[cfg(target_os = "linux")]
fn code_of<'a>(
    program: &'a std::path::Path,
    maps: &'a str,
) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
    maps.lines().filter_map(move |line| {
        // address, permissions, offset, device, inode, path; runs of spaces only before the path
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        let path = fields.nth(3)?.trim_start();
        if permissions != "r-xp" || std::path::Path::new(path) != program {
            return None;
        }
        let address = |digits| usize::from_str_radix(digits, 16).ok();
        Some(address(start)?..address(end)?).filter(|range| !range.is_empty())
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn code_is_what_cannot_be_written() {
        let maps = "\
55d0c0000000-55d0c0400000 r--p 00000000 fe:00 131 /opt/way bill/waybill
55d0c0400000-55d0c2000000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill
55d0c2000000-55d0c2200000 rw-p 02000000 fe:00 131                        /opt/way bill/waybill
55d0c2200000-55d0c2300000 rwxp 02200000 fe:00 131                        /opt/way bill/waybill
7f0000000000-7f0000100000 r-xp 00000000 fe:00 977                        /usr/lib/libc.so.6
7f0000200000-7f0000300000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
zz-55d0c2000000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill
55d0c2000000-55d0c0400000 r-xp 00400000 fe:00 131                        /opt/way bill/waybill

r-xp
";
        let mut code = code_of(Path::new("/opt/way bill/waybill"), maps);
        assert_eq!((code.next(), code.next()), (Some(0x55d0_c040_0000..0x55d0_c200_0000), None));
        assert_eq!(code_of(Path::new("/opt/other"), maps).count(), 0);
    }

    #[test]
    fn unmapped_code_is_no_memory_of_the_process() {
        let mapped_kib = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
        };
        let before = mapped_kib();
        unmap_code();
        let after = mapped_kib();
        assert!(after < before, "{before} KiB of files were mapped, and now {after}");
    }
}
