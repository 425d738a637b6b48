package control

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// runtimeMetrics are those of the Go runtime and the process, under the names
// that they have in all programs in Go. What the system does not tell is left
// out.
func runtimeMetrics(started time.Time) []family {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	out := []family{
		{"go_info", "Information about the Go environment.", gauge, []sample{{labels: []string{"version", runtime.Version()}, value: 1}}},
		single("go_goroutines", "Number of goroutines that currently exist.", gauge, float64(runtime.NumGoroutine())),
		single("go_memstats_alloc_bytes", "Number of bytes allocated in heap and currently in use.", gauge, float64(m.HeapAlloc)),
		single("go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", counter, float64(m.TotalAlloc)),
		single("go_memstats_next_gc_bytes", "Number of heap bytes when next garbage collection will take place.", gauge, float64(m.NextGC)),
		single("go_memstats_sys_bytes", "Number of bytes obtained from system.", gauge, float64(m.Sys)),
		single("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", gauge, epoch(started)),
	}
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		out = append(out, single("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", counter, cpu.Seconds()))
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		out = append(out, single("process_max_fds", "Maximum number of open file descriptors.", gauge, float64(files.Cur)))
	}
	// Linux only.
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		out = append(out, single("process_open_fds", "Number of open file descriptors.", gauge, float64(len(open)-1))) // without that of the folder
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if virtual, resident, ok := statm(text); ok {
			out = append(out, single("process_virtual_memory_bytes", "Virtual memory size in bytes.", gauge, virtual),
				single("process_resident_memory_bytes", "Resident memory size in bytes.", gauge, resident))
		}
	}
	return out
}

func single(name, help, kind string, v float64) family {
	return family{name, help, kind, []sample{{value: v}}}
}

// statm reads /proc/self/statm, which counts pages, in bytes.
func statm(text []byte) (virtual, resident float64, ok bool) {
	f := bytes.Fields(text)
	if len(f) < 2 {
		return 0, 0, false
	}
	v, err := strconv.ParseUint(string(f[0]), 10, 64)
	r, err2 := strconv.ParseUint(string(f[1]), 10, 64)
	page := float64(os.Getpagesize())
	return float64(v) * page, float64(r) * page, err == nil && err2 == nil
}
