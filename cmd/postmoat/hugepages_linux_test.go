package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestInHugePages holds that the kernel knows of the wish, and that the memory is
// free for others and not taken yet. In a process of its own, since what others
// have left is used first.
func TestInHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no transparent huge pages")
	}
	if !alone(t, "GOMAXPROCS=1") { // others keep pages of the heap to themselves
		return
	}
	const size = 64 << 20
	wished, _ := hugeMemory(t)
	inHugePages(size)
	n, resident := hugeMemory(t)
	if n < wished+size-hugePage || resident > size/4 {
		t.Errorf("%d bytes may come in huge pages, %d before; %d of them are resident", n, wished, resident)
	}
	x := make([]byte, size/2) // larger than any hole
	if n := uintptr(unsafe.Pointer(&x[0])) % hugePage; n != 0 {
		t.Errorf("what comes next begins %d bytes behind the begin of a huge page", n)
	}
	runtime.KeepAlive(x)
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapIdle < size/2-hugePage {
		t.Errorf("%d bytes are free for others", m.HeapIdle)
	}
}

// hugeMemory is how many bytes of this process may come in huge pages, and how
// many of those are resident.
func hugeMemory(t *testing.T) (wished, resident int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var size, rss int
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := s.Text()
		switch name, rest, _ := strings.Cut(line, ":"); name {
		case "Size":
			size = kilobytes(t, rest)
		case "Rss":
			rss = kilobytes(t, rest)
		case "VmFlags": // the last line of a mapping
			if strings.Contains(rest+" ", " hg ") {
				wished, resident = wished+size, resident+rss
			}
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return wished, resident
}

func kilobytes(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(s, "%d kB", &n); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n << 10
}
