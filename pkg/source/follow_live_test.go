package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watched is a follower that looks by the clock once an hour, so everything
// depends on the watcher. Of those there are few on a machine, and another
// program may have the last.
func watched(path string) *follower {
	f := newFollower(FileOptions{Path: path, Start: FromStart, Poll: time.Hour})
	f.watch = func(file *os.File) (*growth, error) {
		for {
			g, err := newGrowth(file)
			if !errors.Is(err, syscall.EMFILE) {
				return g, err
			}
			runtime.Gosched()
		}
	}
	return f
}

// The watcher tells of growth when the clock does not.
func TestFollowGrowth(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no watcher but on Linux")
	}
	path := write(t, "log", nil)
	w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f := watched(path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := make(chan string)
	done := make(chan error)
	go func() {
		done <- f.Run(ctx, Position{}, func(l Line) error { next <- string(l.Text); return nil })
	}()
	for i := range 100 {
		want := fmt.Sprintf("line %d", i)
		if _, err := w.WriteString(want + "\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-next:
			if got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		case err := <-done:
			t.Fatalf("%v: line %d never came; %+v", err, i, f.Status())
		}
	}
	if f.Status().Polling {
		t.Error("no watcher was used")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Where no watcher can be had now, one is tried again later.
func TestFollowGrowthLater(t *testing.T) {
	bubble(t, func(w *world) {
		tried := 0
		w.o.Polling = false
		w.hook = func(f *follower) {
			f.watch = func(*os.File) (*growth, error) { tried++; return nil, syscall.EMFILE }
		}
		w.open()
		w.start()
		w.lines(1)
		w.pass(5 * time.Second)
		if tried != 1 || !w.f.Status().Polling {
			t.Errorf("tried %d times in 5 s", tried)
		}
		w.pass(26 * time.Second)
		if tried != 4 {
			t.Errorf("tried %d times in 31 s", tried)
		}
		w.want(true)
		w.stop()
	})
}

// Where the watcher hangs, the log is read by the clock, and nothing is watched
// any more.
func TestFollowGrowthStuck(t *testing.T) {
	bubble(t, func(w *world) {
		tried := 0
		w.o.Polling = false
		w.hook = func(f *follower) {
			f.watch = func(*os.File) (*growth, error) { tried++; return nil, errStuck }
		}
		w.open()
		w.start()
		w.lines(1)
		w.pass(time.Minute)
		w.lines(1)
		w.pass(time.Second)
		if tried != 1 || !w.f.Status().Polling {
			t.Errorf("tried %d times", tried)
		}
		w.want(true)
		w.stop()
	})
}

// Followers that come and go leave no descriptor behind, and new ones hear of
// growth although the numbers of descriptors are used again.
func TestFollowGrowthAgain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no watcher but on Linux")
	}
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := 0
	for i := range 30 {
		path := write(t, "log", []byte("one\n"))
		f := watched(path)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		n := 0
		written := make(chan bool)
		err := f.Run(ctx, Position{}, func(l Line) error {
			if n++; n == 1 {
				go func() {
					defer close(written)
					for f.Status().Polling || f.Status().State != Following {
						runtime.Gosched() // until it waits, and only the watcher can wake it
					}
					w, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
					if err == nil {
						_, err = w.WriteString("two\n")
						w.Close()
					}
					if err != nil {
						t.Error(err)
					}
				}()
				return nil
			}
			return errCrash
		})
		cancel()
		<-written
		if err != errCrash {
			t.Fatalf("round %d: %v, %d lines", i, err, n)
		}
		if i == 0 {
			before = count()
		}
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Any position does no harm: no panic, no half line, an end.
func FuzzPosition(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "mail.log")
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "line %d is whole\n", i)
	}
	for name, data := range map[string]string{"mail.log": "live is whole\n", "mail.log.1": text.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			f.Fatal(err)
		}
	}
	good := FilePosition{Path: path + ".1", Offset: 16, HeadLen: 16, Head: fingerprint([]byte("line 0 is whole\n"))}
	for _, p := range []Position{{}, {Seq: 1, File: good}, {File: FilePosition{Offset: -1}}, {File: good, Draining: []FilePosition{good, good}},
		{File: FilePosition{Inode: 1}, Draining: slices.Repeat([]FilePosition{good}, 9)}, // one file, to be read once
		{File: FilePosition{Offset: 1 << 62, HeadLen: 512, Head: "x", Path: "/dev/zero"}}} {
		b, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Position
		if json.Unmarshal(data, &p) != nil {
			return
		}
		// Nothing outside the folder may be opened by a fuzzer.
		for i := range p.Draining {
			p.Draining[i].Path = path + ".1"
		}
		p.File.Path = path
		// A whole offset is the caller's word; one in a line gives its rest.
		honest := p.File.Offset == 16 || p.File.Offset <= 0
		for _, d := range p.Draining {
			honest = honest && (d.Offset == 16 || d.Offset <= 0)
		}
		fo := newFollower(FileOptions{Path: path, Start: FromStart, Polling: true, Poll: time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		lines := 0
		err := fo.Run(ctx, p, func(l Line) error {
			if honest && !strings.HasSuffix(string(l.Text), " is whole") || bytes.ContainsRune(l.Text, '\n') {
				t.Errorf("%q", l.Text)
			}
			if lines++; lines > 200 {
				t.Error("it does not end")
			}
			if string(l.Text) == "live is whole" {
				return errCrash
			}
			return nil
		})
		if err != errCrash && p.File.HeadLen == 0 {
			t.Errorf("%v after %d lines: the newest line never came", err, lines)
		}
	})
}
