package main

import (
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
// up, and after each the measure is of what is alive then.
func TestGiveRoom(t *testing.T) {
	for alive, want := range map[uint64]int{0: 900, 4 << 20: 900, 32 << 20: 200, 320 << 20: 110} {
		if got := roomy(alive); got != want {
			t.Errorf("%d bytes alive: %d %%, want %d", alive, got, want)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	giveRoom(runtime.GC)
	now := func() int {
		p := debug.SetGCPercent(900)
		debug.SetGCPercent(p)
		return p
	}
	if got := now(); got != 900 {
		t.Errorf("%d %% at first", got)
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
