package daemon_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/loggen"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// TestLikeReplay is the promise that holds everything together: a daemon that
// followed a log through rotations, kill -9 and restarts has made the very bans
// that a replay of the log makes, at the same times, and no others.
func TestLikeReplay(t *testing.T) {
	for seed, mix := range []string{"v6", "goodin", "2004"} {
		t.Run(mix, func(t *testing.T) { likeReplay(t, mix, uint64(seed)) })
	}
}

func likeReplay(t *testing.T, mix string, seed uint64) {
	var log bytes.Buffer
	if _, err := loggen.Write(&log, loggen.Options{Mix: mix, Seed: seed, ISO: true}); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(log.Bytes(), []byte("\n")), []byte("\n"))
	lines[len(lines)-1] = append(slices.Clone(lines[len(lines)-1]), 0x0a)
	want := replayed(t, lines)
	if len(want) < 20 {
		t.Fatalf("the log makes only %d bans: nothing is tested", len(want))
	}

	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "mail.log")
	clock, err := openClock(folder)
	if err != nil {
		t.Fatal(err)
	}
	times := timesOf(lines)
	if err := clock.set(time.Unix(times[0]-10, 0)); err != nil {
		t.Fatal(err)
	}
	read, err := openRead(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := read.set(time.Unix(times[0], 0)); err != nil {
		t.Fatal(err)
	}
	f := create(t, path)
	r := rand.New(rand.NewPCG(seed, 7))
	c := startChild(t, folder)
	rotations, kills, stops := 0, 0, 0
	for at := 0; at < len(lines); {
		n := min(1+r.IntN(len(lines)/40), len(lines)-at)
		for _, l := range lines[at : at+n] {
			if at > 0 && times[at] > times[at-1] {
				keepUp(t, read, times[at-1], times[at])
			}
			if err := clock.set(time.Unix(times[at], 0)); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(l); err != nil {
				t.Fatal(err)
			}
			at++
		}
		switch r.IntN(8) {
		case 0:
			kills++
			c.kill(t)
			c = startChild(t, folder)
		case 1:
			stops++
			c.stop(t)
			c = startChild(t, folder)
		case 2:
			rotations++
			f = rotate(t, path, f)
		}
	}
	// At the last start everything has been read.
	c.stop(t)
	c = startChild(t, folder)
	c.stop(t)
	t.Logf("%d bans and ends, %d rotations, %d kill -9, %d restarts", len(want), rotations, kills, stops)
	got := heard(t, filepath.Join(folder, "events"))
	for _, x := range slices.Sorted(keys(got)) {
		if !want[x] {
			t.Errorf("only the daemon: %s", x)
		}
	}
	for _, x := range slices.Sorted(keys(want)) {
		if !got[x] {
			t.Errorf("only the replay: %s", x)
		}
	}
}

// keepUp lets the clock go on only when the daemon is no more than a minute of it
// behind: in life too it would take stamps that are minutes off for wrong ones.
func keepUp(t *testing.T, read clockFile, written, next int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if at := read.now().Unix(); at >= written || next-at <= 60 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the daemon has read up to %v, and no further for a minute: %v was written", read.now(), time.Unix(written, 0))
		}
	}
}

func keys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// replayed are the bans of a replay and their ends.
func replayed(t *testing.T, lines [][]byte) map[string]bool {
	t.Helper()
	o, err := coreOptions()
	if err != nil {
		t.Fatal(err)
	}
	o.Allow = new(prefix.Set)
	for _, p := range prefix.Special() {
		o.Allow.Insert(p)
	}
	e := engine.New(o)
	e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: timesOf(lines[:1])[0]})
	out := map[string]bool{}
	for i, l := range lines {
		e.Feed(0, uint64(i+1), bytes.TrimSuffix(l, []byte("\n")))
		for _, x := range e.Flush().Add {
			b := e.Running(x.Prefix, x.Door)
			out[fmt.Sprintf("%s ban %s at %s, %d members, level %d", time.Unix(b.From, 0).UTC().Format(time.RFC3339), b.Prefix, b.Door, len(b.Members), b.Level)] = true
		}
		for _, s := range e.Ended() {
			out[fmt.Sprintf("%s end %s at %s: %s %s", time.Unix(s.Ended, 0).UTC().Format(time.RFC3339), s.Prefix, s.Door, s.End, into(s.Into.IsValid(), s.Into.String()))] = true
		}
	}
	return out
}

func into(ok bool, s string) string {
	if !ok {
		return ""
	}
	return s
}

// heard are the bans that daemons told of, and their ends, each once: after a
// crash some are told again.
func heard(t *testing.T, path string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	s := bufio.NewScanner(bytes.NewReader(text))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var ev daemon.Event
		if err := json.Unmarshal(s.Bytes(), &ev); err != nil {
			continue // cut off by a kill
		}
		at := ev.Time.UTC().Format(time.RFC3339)
		switch ev.Type {
		case "ban":
			out[fmt.Sprintf("%s ban %s at %s, %d members, level %d", at, ev.Prefix, ev.Door, ev.Members, ev.Level)] = true
		case "end":
			out[fmt.Sprintf("%s end %s at %s: %s %s", at, ev.Prefix, ev.Door, ev.Ended, ev.Into)] = true
		case "lost":
			t.Error("events were lost")
		}
	}
	return out
}

// timesOf reads the ISO stamps that the generator writes.
func timesOf(lines [][]byte) []int64 {
	out := make([]int64, len(lines))
	for i, l := range lines {
		stamp, _, _ := strings.Cut(string(l), " ")
		at, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			panic(err)
		}
		out[i] = at.Unix()
	}
	return out
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// rotate moves the log aside, as logrotate does, and makes a new one.
func rotate(t *testing.T, path string, f *os.File) *os.File {
	t.Helper()
	for i := 20; i > 0; i-- {
		old := fmt.Sprintf("%s.%d", path, i)
		if _, err := os.Stat(old); err == nil {
			if err := os.Rename(old, fmt.Sprintf("%s.%d", path, i+1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	return create(t, path)
}
