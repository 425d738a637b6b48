package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/daemon"
)

func dial(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// alive fails the test if the server does not answer a good request.
func alive(t *testing.T, path string) {
	t.Helper()
	if code, body := rawGet(t, path, "/v1/status"); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
}

// TestMalformed: what is no HTTP, or too much of it, ends its connection and
// nothing else.
func TestMalformed(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	for name, x := range map[string]struct{ send, want string }{
		"noise":               {"\x00\xff\x16\x03\x01\r\n\r\n", "HTTP/1.1 400"},
		"HTTP/2":              {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "}, // 404 or 505: never 200
		"no version":          {"GET /v1/status\r\n\r\n", "HTTP/1.1 400"},
		"no host":             {"GET /v1/status HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
		"two lengths":         {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "HTTP/1.1 400"},
		"length of minus one": {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}", "HTTP/1.1 400"},
		"unknown coding":      {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n{}", "HTTP/1.1 501"},
		"long header":         {"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"long path":           {"GET /v1/explain/" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 431"},
		"many headers":        {"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 20000) + "\r\n", "HTTP/1.1 431"},
		"long body":           {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat(" ", 1_000_000), "HTTP/1.1 413"},
		"broken chunks":       {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400"},
		"long chunked body":   {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + strings.Repeat(" ", 0x20000) + "\r\n0\r\n\r\n", "HTTP/1.1 413"},
		"deep JSON":           {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("[", 60000), "HTTP/1.1 400"},
		"dots in the path":    {"GET /v1/../v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"},
	} {
		c := dial(t, path)
		sent := make(chan struct{})
		go func() { // the server may answer and go before it has read all
			defer close(sent)
			io.WriteString(c, x.send)
		}()
		line, err := bufio.NewReader(c).ReadString('\n')
		if !strings.HasPrefix(line, x.want) || strings.HasPrefix(line, "HTTP/1.1 200") {
			t.Errorf("%s: %q %v, want %s", name, line, err, x.want)
		}
		c.Close()
		<-sent
	}
	if f.calls != 0 {
		t.Errorf("the daemon heard of %d of them", f.calls)
	}
	alive(t, path)
}

// TestSlow: who does not get on with it is cut off; others do not wait.
func TestSlow(t *testing.T) {
	s := NewServer(Options{Daemon: newFake(t)})
	s.wait.header, s.wait.body, s.wait.idle = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
	path, _ := at(t, s)
	for name, x := range map[string]struct{ send, want string }{
		"says nothing":    {"", ""},
		"half a line":     {"GET /v1/sta", ""},
		"half a header":   {"GET /v1/status HTTP/1.1\r\nHost: x\r\n", ""},
		"half a body":     {"POST /v1/ban HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{", "HTTP/1.1 400"},
		"comes no more":   {"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"},
		"a body of a 404": {"POST /v1/none HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{", "HTTP/1.1 404"},
	} {
		c := dial(t, path)
		if _, err := io.WriteString(c, x.send); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c) // until the server closes
		if err != nil || !strings.HasPrefix(string(answer), x.want) || x.want == "" && strings.Contains(string(answer), " 200 ") {
			t.Errorf("%s: %q %v", name, answer, err)
		}
	}
	alive(t, path)
}

// TestTooMany: connections beyond the limit wait, and are served when another
// ends.
func TestTooMany(t *testing.T) {
	path, _, _ := serving(t, newFake(t))
	var open []net.Conn
	for range maxConnections {
		c := dial(t, path)
		// It has a place when it was answered.
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	late := dial(t, path)
	fmt.Fprint(late, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := late.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(late)
	if _, err := r.Peek(1); err == nil {
		t.Fatal("it was answered, though all places are taken")
	}
	open[7].Close()
	if err := late.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if a, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil || a.StatusCode != 200 {
		t.Errorf("%v %v", a, err)
	}
}

// TestBusyDaemon: a daemon that does not answer is asked by few at a time, and
// nobody waits for ever.
func TestBusyDaemon(t *testing.T) {
	f := newFake(t)
	f.hang, f.waiting = make(chan struct{}), make(chan struct{}, 100)
	s := NewServer(Options{Daemon: f})
	s.wait.call, s.wait.slow = 50*time.Millisecond, 50*time.Millisecond
	path, _ := at(t, s)
	var all sync.WaitGroup
	var hints atomic.Int32
	for i := range 40 {
		all.Go(func() {
			c := Dial(path)
			defer c.Close()
			_, err := c.Bans(context.Background(), Query{})
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Status != 503 {
				t.Errorf("%d: %v", i, err)
			} else if e.Hint != "" {
				hints.Add(1)
			}
		})
	}
	all.Wait()
	if hints.Load() != 40 {
		t.Errorf("%d of 40 were told what to do", hints.Load())
	}
	c := Dial(path)
	defer c.Close()
	if err := c.Pause(context.Background()); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Errorf("pause: %v", err)
	}
	close(f.hang)
	if _, err := c.Bans(t.Context(), Query{}); err != nil {
		t.Errorf("after it was busy: %v", err)
	}
}

// TestFewAtATime: no more than maxReads questions are with the daemon.
func TestFewAtATime(t *testing.T) {
	f := newFake(t)
	f.hang, f.waiting = make(chan struct{}), make(chan struct{}, 100)
	path, _, _ := serving(t, f)
	var all sync.WaitGroup
	for range 3 * maxReads {
		all.Go(func() {
			c := Dial(path)
			defer c.Close()
			if _, err := c.Status(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxReads {
		<-f.waiting
	}
	select {
	case <-f.waiting:
		t.Error("one question too many")
	case <-time.After(50 * time.Millisecond):
	}
	close(f.hang)
	all.Wait()
}

// TestConcurrent lets many do everything at the same time; the race detector
// watches.
func TestConcurrent(t *testing.T) {
	f := newFake(t)
	path, _, _ := serving(t, f)
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			c := Dial(path)
			defer c.Close()
			ctx := context.Background()
			var errs [6]error
			_, errs[0] = c.Ban(ctx, BanRequest{Prefix: "203.0.113.0/24"})
			_, errs[1] = c.Unban(ctx, UnbanRequest{Prefix: "203.0.113.0/24"})
			_, errs[2] = c.Bans(ctx, Query{Sort: "ends"})
			errs[3] = c.Metrics(ctx, io.Discard)
			_, errs[4] = c.AllowAdd(ctx, AllowRequest{Prefix: "203.0.113.0/24"})
			_, errs[5] = c.Explain(ctx, f.explain.Addr)
			if err := errors.Join(errs[:]...); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	if len(f.bans) != 30 || len(f.unbans) != 30 || len(f.added) != 30 {
		t.Errorf("%d bans, %d unbans, %d additions arrived", len(f.bans), len(f.unbans), len(f.added))
	}
}

// TestEvents: what happens arrives in order; the end of the daemon is told.
func TestEvents(t *testing.T) {
	f := newFake(t)
	f.opened = make(chan chan daemon.Event, 1)
	path, _, stop := serving(t, f)
	c := Dial(path)
	defer c.Close()
	var got []string
	ready := make(chan struct{})
	done := make(chan error, 1)
	seen := make(chan struct{}, 10)
	go func() {
		done <- c.Events(context.Background(), func() { close(ready) }, func(e daemon.Event) error {
			got = append(got, e.Type+" "+e.Prefix)
			seen <- struct{}{}
			return nil
		})
	}()
	<-ready
	feed := <-f.opened
	until := time.Unix(start, 0)
	for _, e := range []daemon.Event{{Type: "ban", Prefix: "192.0.2.0/24", Until: &until}, {Type: "end", Prefix: "192.0.2.0/24"}, {Type: "lost", Lost: 3}} {
		feed <- e
	}
	for range 3 {
		<-seen
	}
	stop()
	if err := <-done; !errors.Is(err, ErrNotRunning) {
		t.Errorf("at the end of the daemon: %v", err)
	}
	if s := strings.Join(got, "; "); s != "ban 192.0.2.0/24; end 192.0.2.0/24; lost " {
		t.Errorf("%s", s)
	}
}

// TestEventsEnd: a listener that goes, or gives up, ends its stream.
func TestEventsEnd(t *testing.T) {
	f := newFake(t)
	f.opened = make(chan chan daemon.Event, 1)
	path, _, _ := serving(t, f)
	c := Dial(path)
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Events(ctx, cancel, func(daemon.Event) error { return nil }); err != nil {
		t.Errorf("cancelled: %v", err)
	}
	<-f.opened
	enough := errors.New("enough")
	err := c.Events(t.Context(), func() { (<-f.opened) <- daemon.Event{Type: "ban"} }, func(daemon.Event) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("given up: %v", err)
	}
}

// TestListeners: there are places for a few, and they are given back.
func TestListeners(t *testing.T) {
	f := newFake(t)
	f.opened = make(chan chan daemon.Event, 100)
	path, _, _ := serving(t, f)
	var open []net.Conn
	for range maxListeners {
		c := dial(t, path)
		fmt.Fprint(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		if a, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || a.StatusCode != 200 {
			t.Fatalf("%v %v", a, err)
		}
		open = append(open, c)
	}
	code, body := rawGet(t, path, "/v1/events")
	var p problem
	if err := json.Unmarshal(body, &p); code != 503 || err != nil || !strings.Contains(p.Error, "too many") {
		t.Errorf("%d %s", code, body)
	}
	alive(t, path)
	open[3].Close()
	for { // it takes the server a moment to notice
		c := dial(t, path)
		fmt.Fprint(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.StatusCode == 200 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("no place was given back")
		}
		c.Close()
	}
}
