package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestGarbage holds the measure at its ends and in between: 12 MB, but at least
// 12 % and at most as much as is alive.
func TestGarbage(t *testing.T) {
	for _, x := range []struct {
		alive uint64
		want  int
	}{
		{0, 100}, {1 << 20, 100}, {12 << 20, 100}, {24 << 20, 50}, {48 << 20, 25}, {100 << 20, 12}, {1 << 30, 12},
	} {
		if got := garbage(x.alive); got != x.want {
			t.Errorf("%d bytes alive: %d %%, want %d", x.alive, got, x.want)
		}
	}
}

// TestGiveRoom: there is no collection before a good part of the room is used
// up, and after each the measure is of what is alive then. In a process of its own,
// since it never ends.
func TestGiveRoom(t *testing.T) {
	if !alone(t) {
		return
	}
	for alive, want := range map[uint64]int{0: 900, 4 << 20: 900, 32 << 20: 200, 320 << 20: 110} {
		if got := roomy(alive); got != want {
			t.Errorf("%d bytes alive: %d %%, want %d", alive, got, want)
		}
	}
	now := func() int {
		p := debug.SetGCPercent(900)
		debug.SetGCPercent(p)
		return p
	}
	begun := false
	giveRoom(func() {
		begun = true
		if got := now(); got != 900 {
			t.Errorf("%d %% when it begins", got)
		}
		live := make([]byte, 64<<20)
		runtime.GC()
		runtime.GC()
		runtime.KeepAlive(live)
	})
	if got := now(); got != 900 || !begun {
		t.Errorf("%d %% at first, begun: %v", got, begun)
	}
	for _, size := range []int{64 << 20, 8 << 20} {
		live := make([]byte, size)
		want := roomy(uint64(size) + 2<<20)
		for end := time.Now().Add(10 * time.Second); now() < want-want/5 || now() > want+want/5; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d %% with %d bytes alive, want some %d", now(), size, want)
			}
			runtime.GC()
		}
		for range 3 { // and it stays so
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
			if got := now(); got < want-want/5 || got > want+want/5 {
				t.Errorf("%d %% later with %d bytes alive, want some %d", got, size, want)
			}
		}
		runtime.KeepAlive(live)
	}
}

// TestTunedByHand holds that an operator's own measure is left alone.
func TestTunedByHand(t *testing.T) {
	for _, x := range []struct {
		gogc, limit string
		want        bool
	}{{"", "", false}, {"100", "", true}, {"", "200MiB", true}} {
		for k, v := range map[string]string{"GOGC": x.gogc, "GOMEMLIMIT": x.limit} {
			t.Setenv(k, v)
		}
		if got := tunedByHand(); got != x.want {
			t.Errorf("%+v: %v", x, got)
		}
	}
}

// alone runs a test in a process of its own, and says whether this is that one.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	const child = "POSTMOAT_TEST_ALONE"
	if os.Getenv(child) == t.Name() {
		return true
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(append(os.Environ(), env...), child+"="+t.Name())
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}
