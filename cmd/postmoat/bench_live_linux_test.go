package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/loggen"
)

// BenchmarkLive measures the whole program as a daemon, in a network namespace
// with a real firewall and real packets.
func BenchmarkLive(b *testing.B) {
	firewalltest.NeedNamespace(b)
	firewalltest.NeedTool(b, "nft")
	bin := filepath.Join(b.TempDir(), "postmoat")
	build := exec.Command("go", "build", "-trimpath", "-pgo=replay.pgo", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for _, x := range []struct {
		name string
		run  func(b *testing.B, bin string)
	}{
		{"reaction", benchReaction},
		{"reaction of fail2ban", benchFail2ban},
		{"read", benchRead},
		{"keep up", benchKeepUp},
		{"size", benchSize},
	} {
		b.Run(x.name, func(b *testing.B) {
			for b.Loop() {
				x.run(b, bin)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

const (
	besides   = 5000 // other lines a second while reactions are measured
	attackers = 300
	// fail2ban is slow, so fewer do.
	attackersOfFail2ban = 60
)

// benchReaction is the time from just before the tenth line of an attacker is
// written to the first of his packets that is dropped (see firewalltest.Moment),
// while a mail host's ordinary lines are written.
func benchReaction(b *testing.B, bin string) {
	h := newHost(b, bin, "")
	h.start()
	net := benchNet(b)
	stop := h.babble(besides)
	var times []float64
	for n := range attackers {
		client := fmt.Sprintf("198.%d.%d.%d", 18+n>>8, n&255, 1+n%250)
		times = append(times, h.reaction(net, client, func() { h.scored(client, 9) }))
	}
	stop()
	reportTimes(b, times)
	h.stop()
}

func reportTimes(b *testing.B, ms []float64) {
	slices.Sort(ms)
	b.ReportMetric(ms[len(ms)/2], "ms-median")
	b.ReportMetric(ms[len(ms)*99/100], "ms-p99")
	b.ReportMetric(ms[len(ms)-1], "ms-max")
}

// benchNet is a net in which every address of 198.18.0.0/15 is a client.
func benchNet(b *testing.B) *firewalltest.Net {
	b.Helper()
	net := firewalltest.NewNet(b)
	net.Clients.Run(b, "ip", "addr", "add", "198.18.0.1/15", "dev", "lo")
	return net
}

// reaction is one measurement, in milliseconds. ready returns when nine lines
// have been scored.
func (h *host) reaction(net *firewalltest.Net, client string, ready func()) float64 {
	h.t.Helper()
	h.write(bounces(client, 1, 9)...)
	ready()
	m, err := net.NewMoment(client, 25)
	if err != nil {
		h.t.Fatal(err)
	}
	defer m.Close()
	last := bounce(client, 10)
	var written time.Time
	cut, err := m.Await(func() {
		written = time.Now()
		h.write(last)
	}, patience)
	if err != nil {
		h.t.Fatal(err)
	}
	return float64(cut.Sub(written)) / float64(time.Millisecond)
}

// babble has other lines written at a rate until it is told to stop, each by a
// write of its own, as a syslog daemon does.
func (h *host) babble(rate int) (stop func()) {
	h.t.Helper()
	lines := bodies(h.t, "c", 50_000)
	f, err := os.OpenFile(h.path(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer f.Close()
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		begin, written := time.Now(), 0
		for {
			select {
			case <-done:
				return
			case now := <-ticker.C:
				stamp := now.Format(time.RFC3339)
				for due := int(now.Sub(begin).Seconds() * float64(rate)); written < due; written++ {
					if _, err := io.WriteString(f, stamp+lines[written%len(lines)]); err != nil {
						h.t.Errorf("babble: %v", err)
						return
					}
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// bodies are lines of the generator without their stamps.
func bodies(t testing.TB, mix string, n int) []string {
	t.Helper()
	var log bytes.Buffer
	if _, err := loggen.Write(&log, loggen.Options{Mix: mix, Lines: n, Seed: 1, ISO: true}); err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(log.String()) {
		_, rest, _ := strings.Cut(line, " ")
		out = append(out, " "+rest)
	}
	return out
}

// benchFail2ban is the same for fail2ban's server with its own filter of Postfix
// and its own action of nftables, with drop as ours, banning at the tenth line.
func benchFail2ban(b *testing.B, bin string) {
	if _, err := exec.LookPath("fail2ban-server"); err != nil {
		b.Skip("fail2ban-server is not installed")
	}
	h := newHost(b, bin, "")
	net := benchNet(b)
	config := filepath.Join(h.dir, "f2b")
	socket := filepath.Join(h.dir, "f2b.sock")
	for _, err := range []error{
		os.Mkdir(config, 0o755),
		os.Symlink("/etc/fail2ban/filter.d", filepath.Join(config, "filter.d")),
		os.Symlink("/etc/fail2ban/action.d", filepath.Join(config, "action.d")),
		os.WriteFile(filepath.Join(config, "fail2ban.conf"), fmt.Appendf(nil,
			"[Definition]\nloglevel = WARNING\nlogtarget = STDERR\nsyslogsocket = auto\nsocket = %s\npidfile = %s.pid\ndbfile = None\n", socket, socket), 0o644),
		os.WriteFile(filepath.Join(config, "jail.conf"), fmt.Appendf(nil,
			"[postfix]\nenabled = true\nfilter = postfix\nlogpath = %s\nbackend = auto\nusedns = no\nignoreself = false\nmaxretry = 10\nfindtime = 600\nbantime = 3600\n"+
				"action = nftables-multiport[name=postfix, port=\"25\", protocol=tcp, blocktype=drop]\n", h.path()), 0o644),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	var said bytes.Buffer
	c := exec.Command("fail2ban-server", "-c", config, "-s", socket, "-p", socket+".pid", "-f", "start")
	c.Stdout, c.Stderr = &said, &said
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		c.Process.Signal(syscall.SIGTERM)
		if c.Wait(); b.Failed() {
			b.Logf("fail2ban said:\n%s", &said)
		}
		exec.Command("nft", "delete", "table", "inet", "f2b-table").Run()
	}()
	status := func() string {
		out, _ := exec.Command("fail2ban-client", "-c", config, "-s", socket, "status", "postfix").CombinedOutput()
		return string(out)
	}
	h.eventually("fail2ban follows the log", func() bool { return strings.Contains(status(), h.path()) })
	stop := h.babble(besides)
	var times []float64
	for n := range attackersOfFail2ban {
		// It can't be asked how close a client is to the limit, so it is given
		// some time: if it has not read the nine lines by then, it is slow.
		times = append(times, h.reaction(net, fmt.Sprintf("198.18.%d.%d", n, 1+n%250), func() { time.Sleep(500 * time.Millisecond) }))
	}
	stop()
	reportTimes(b, times)
}

// benchRead is what it costs to read a log of a million lines that was written
// while the daemon was down, 40 in 100 of them attacks, bans in force and all.
func benchRead(b *testing.B, bin string) {
	const n = 1_000_000
	h := newHost(b, bin, "")
	h.start()
	h.stop()
	h.generate(loggen.Options{Mix: "a", Lines: n, Seed: 1, ISO: true, Start: time.Now(), Rate: n / 2})
	begin := time.Now()
	h.start()
	wall := time.Since(begin)
	user, system := h.cpu()
	if got := h.status().Sources[0].Lines; got != n {
		b.Errorf("%d lines were read, want %d", got, n)
	}
	b.ReportMetric(n/(user+system), "lines/s-of-cpu")
	b.ReportMetric(user/n*1e9, "user-ns/line")
	b.ReportMetric(system/n*1e9, "system-ns/line")
	b.ReportMetric(wall.Seconds(), "s-until-caught-up")
	b.ReportMetric(float64(h.status().Bans), "bans")
	h.stop()
}

func (h *host) generate(o loggen.Options) {
	h.t.Helper()
	w := bufio.NewWriterSize(h.log, 1<<20)
	if _, err := loggen.Write(w, o); err != nil {
		h.t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		h.t.Fatal(err)
	}
}

// benchKeepUp writes 100,000 lines a second for 15 seconds and looks at how far
// the daemon is behind.
func benchKeepUp(b *testing.B, bin string) {
	const rate, seconds = 100_000, 15
	h := newHost(b, bin, "")
	h.start()
	lines := bodies(b, "a", 200_000)
	var lags []float64 // in MB, ten a second
	user0, system0 := h.cpu()
	begin, written, looked := time.Now(), 0, 0
	var chunk bytes.Buffer
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for written < rate*seconds {
		now := <-ticker.C
		stamp := now.Format(time.RFC3339)
		chunk.Reset()
		for due := min(int(now.Sub(begin).Seconds()*rate), rate*seconds); written < due; written++ {
			chunk.WriteString(stamp)
			chunk.WriteString(lines[written%len(lines)])
		}
		if _, err := h.log.Write(chunk.Bytes()); err != nil {
			b.Fatal(err)
		}
		if tenth := int(now.Sub(begin) / (100 * time.Millisecond)); tenth > looked {
			looked = tenth
			lags = append(lags, float64(h.status().Sources[0].Lag)/1e6)
		}
	}
	wrote := time.Since(begin)
	h.eventually("all is read", func() bool { return h.status().Sources[0].Lines == rate*seconds })
	behind := time.Since(begin) - wrote
	user, system := h.cpu()
	half := len(lags) / 2
	b.ReportMetric(rate*seconds/wrote.Seconds(), "lines/s-written")
	b.ReportMetric(slices.Max(lags[:half]), "MB-lag-first-half")
	b.ReportMetric(slices.Max(lags[half:]), "MB-lag-second-half")
	b.ReportMetric(behind.Seconds()*1e3, "ms-behind-at-the-end")
	b.ReportMetric((user+system-user0-system0)/wrote.Seconds()*100, "%-of-a-core")
	h.stop()
}

// benchSize is how much memory the daemon has at rest, then with a million
// clients and 50,000 bans, and how long a start takes with 100,000 bans and as
// many clients, until all are in a firewall that was empty.
func benchSize(b *testing.B, bin string) {
	const bans, clients = 50_000, 950_000
	h := newHost(b, bin, "collapse: {budget: 150000}\n")
	h.start("--log-level", "warn")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Second) {
		h.status()
	}
	b.ReportMetric(h.memory("VmRSS"), "MB-at-rest")

	w := bufio.NewWriterSize(h.log, 1<<20)
	attack := func(from, to int) { // one of each /24, from 16.0.0.0
		for k := from; k < to; k++ {
			for n := range 10 {
				w.WriteString(bounce(fmt.Sprintf("%d.%d.%d.9", 16+k>>16, k>>8&255, k&255), n))
			}
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	attack(0, bans)
	for k := range clients { // five of each /24, from 64.0.0.0
		net := k / 5
		w.WriteString(bounce(fmt.Sprintf("%d.%d.%d.%d", 64+net>>16, net>>8&255, net&255, 1+k%5*40), 1))
	}
	attack(0, 0)
	h.eventuallyWithin(10*time.Minute, "all is read and banned", func() bool {
		s := h.status()
		return s.Sources[0].Lines == bans*10+clients && s.Bans == bans
	})
	b.ReportMetric(h.memory("VmRSS"), "MB-large-at-once")
	// A snapshot or two later it is what it stays.
	saved := h.status().Snapshot.At
	for range 2 {
		h.eventuallyWithin(3*time.Minute, "a snapshot", func() bool {
			at := h.status().Snapshot.At
			return at != nil && (saved == nil || at.After(*saved))
		})
		saved = h.status().Snapshot.At
	}
	b.ReportMetric(h.memory("VmRSS"), "MB-large")
	b.ReportMetric(h.memory("VmHWM"), "MB-large-peak")
	b.ReportMetric(float64(h.status().Clients), "clients")

	attack(bans, 2*bans)
	h.eventuallyWithin(10*time.Minute, "100,000 are banned", func() bool { return h.status().Bans == 2*bans })
	h.stop()
	if out, err := exec.Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
		b.Fatalf("nft: %v %s", err, out)
	}
	begin := time.Now()
	h.start("--log-level", "warn")
	b.ReportMetric(h.ready.Sub(begin).Seconds(), "s-until-100k-in-force")
	b.ReportMetric(h.memory("VmRSS"), "MB-after-start")
	if held := len(h.held()); held != 2*bans {
		b.Errorf("%d bans are in force", held)
	}
	h.stop()
}

// memory is a size of the daemon, as the kernel counts it, in MB.
func (h *host) memory(key string) float64 {
	h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.process.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				h.t.Fatal(err)
			}
			return kb / 1024
		}
	}
	h.t.Fatalf("no %s in /proc", key)
	return 0
}

// cpu is what the daemon has used, in seconds.
func (h *host) cpu() (user, system float64) {
	h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.process.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := func(s string) float64 {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			h.t.Fatal(err)
		}
		return n / 100 // USER_HZ
	}
	return ticks(fields[11]), ticks(fields[12])
}
