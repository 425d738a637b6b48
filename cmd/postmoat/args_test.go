package main

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// TestForArgs: with the others left out a command is the same.
func TestForArgs(t *testing.T) {
	for _, whole := range root().Commands() {
		name := whole.Name()
		if name == "completion" {
			continue
		}
		one := forArgs([]string{name, "x"}, nil)
		if n := len(one.Commands()); name != "man" && n != 1 {
			t.Errorf("%s: %d commands were made", name, n)
		}
		c, rest, err := one.Find([]string{name, "x"})
		if err != nil || c.Name() != name || len(rest) != 1 {
			t.Errorf("%s: found %s %v %v", name, c.Name(), rest, err)
		}
		if c.UsageString() != whole.UsageString() || c.CommandPath() != whole.CommandPath() {
			t.Errorf("%s: usage\n%s\nis\n%s", name, whole.UsageString(), c.UsageString())
		}
	}
	all := len(root().Commands())
	for _, args := range [][]string{nil, {"--help"}, {"help", "ban"}, {"nonsense"}, {"__complete", "ban"}, {"man"}} {
		if n := len(forArgs(args, nil).Commands()); n != all {
			t.Errorf("%q: %d commands of %d", args, n, all)
		}
	}
}

// TestStop: a signal stops a command that changes something, and after a while
// one that only reads.
func TestStop(t *testing.T) {
	here := make(chan os.Signal, 1)
	signal.Notify(here, syscall.SIGTERM) // else it would end the test
	defer signal.Stop(here)
	for _, name := range []string{"ban", "replay"} {
		stopped := make(chan struct{})
		p := forArgs([]string{name}, func() { close(stopped) })
		p.PersistentPreRun(p.Commands()[0], nil)
		for end := time.Now().Add(10 * time.Second); ; {
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case <-stopped:
			case <-time.After(20 * time.Millisecond):
				if time.Now().After(end) {
					t.Fatalf("%s does not hear the signal", name)
				}
				continue
			}
			break
		}
	}
}
