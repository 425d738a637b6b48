package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/memory"
	"github.com/postmoat/postmoat/pkg/source"
)

// A host is a daemon in this process, with a log and a firewall.
type host struct {
	*daemon.Daemon
	t       *testing.T
	log     *os.File
	backend *memory.Backend
	users   int // recipients so far
	stop    func()
}

// startHost starts a daemon in a folder and waits until it is ready. change may
// alter its options.
func startHost(t *testing.T, folder string, change func(*daemon.Options)) *host {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(folder, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "mail.log")
	log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := memory.New(firewall.Options{Ports: config.Default().Doors})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	o := daemon.Options{
		Settings: s, Backend: b, State: filepath.Join(folder, "state"), Version: "test",
		Notify: func(n daemon.Notice, _ string) {
			if n == daemon.CaughtUp {
				select {
				case <-ready:
				default:
					close(ready)
				}
			}
		},
	}
	if change != nil {
		change(&o)
	}
	d, err := daemon.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	h := &host{Daemon: d, t: t, log: log, backend: b}
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("daemon: %v", err)
		}
		log.Close()
	}
	t.Cleanup(h.stop)
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("daemon did not start: %v", err)
	}
	return h
}

// reject writes n rejects of a client, each of another recipient.
func (h *host) reject(client string, n int) {
	h.t.Helper()
	h.rejectAt(time.Now(), client, n)
}

func (h *host) rejectAt(at time.Time, client string, n int) {
	h.t.Helper()
	now := at.UTC().Format("2006-01-02T15:04:05.000000Z")
	var b strings.Builder
	for range n {
		h.users++
		fmt.Fprintf(&b, "%s mx postfix/smtpd[%d]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <u%d@example.com>: Recipient address rejected: User unknown in local recipient table; from=<> to=<u%d@example.com> proto=ESMTP helo=<x>\n",
			now, 1000+h.users, client, h.users, h.users)
	}
	if _, err := h.log.WriteString(b.String()); err != nil {
		h.t.Fatal(err)
	}
}

// until waits for an event that is as wanted.
func until(t *testing.T, ch <-chan daemon.Event, what string, ok func(daemon.Event) bool) daemon.Event {
	t.Helper()
	for ev := range ch {
		if ok(ev) {
			return ev
		}
	}
	t.Fatalf("the daemon ended before %s", what)
	panic("not reached")
}

func (h *host) listen() <-chan daemon.Event {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	h.t.Cleanup(cancel)
	return h.Subscribe(ctx)
}

// banned are the prefixes that the firewall holds.
func (h *host) banned() []string {
	h.t.Helper()
	held, err := h.backend.Active(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, a := range held {
		out = append(out, a.Prefix.String())
	}
	return slices.Compact(out)
}

func (h *host) wantBanned(want ...string) {
	h.t.Helper()
	if got := h.banned(); !slices.Equal(got, want) {
		h.t.Errorf("the firewall holds %v, want %v", got, want)
	}
}

func isBan(prefix string) func(daemon.Event) bool {
	return func(ev daemon.Event) bool { return ev.Type == "ban" && ev.Prefix == prefix }
}

func TestBansAndUnbans(t *testing.T) {
	h := startHost(t, t.TempDir(), nil)
	ctx := t.Context()
	ch := h.listen()
	h.reject("203.0.113.5", 12)
	ev := until(t, ch, "the ban", isBan("203.0.113.5/32"))
	if !strings.Contains(ev.Text, "unknown-recipients") {
		t.Errorf("the ban does not say why: %q", ev.Text)
	}
	h.wantBanned("203.0.113.5/32")

	x, err := h.Explain(ctx, netip.MustParseAddr("203.0.113.5"))
	if err != nil || len(x.Bans) != 1 || x.Bans[0].State != "in force" {
		t.Fatalf("explain: %+v, %v", x, err)
	}
	u, err := h.Unban(ctx, daemon.UnbanRequest{Prefix: netip.MustParsePrefix("203.0.113.5/32"), For: time.Hour, By: "test"})
	if err != nil || len(u.Lifted) != 1 || u.Allowed == nil {
		t.Fatalf("unban: %+v, %v", u, err)
	}
	h.wantBanned()
	// It does not come straight back.
	h.reject("203.0.113.5", 30)
	h.reject("203.0.113.6", 12)
	until(t, ch, "the other ban", isBan("203.0.113.6/32"))
	h.wantBanned("203.0.113.6/32")
	if x, err := h.Explain(ctx, netip.MustParseAddr("203.0.113.5")); err != nil || len(x.Allowed) != 1 || len(x.Past) != 1 {
		t.Errorf("explain after the unban: %+v, %v", x, err)
	}
}

func TestBanByHand(t *testing.T) {
	h := startHost(t, t.TempDir(), nil)
	ctx := t.Context()
	peer := netip.MustParseAddr("198.51.100.7")
	for _, bad := range []struct {
		name string
		daemon.BanRequest
	}{
		{"wider than a /16", daemon.BanRequest{Prefix: netip.MustParsePrefix("198.0.0.0/8")}},
		{"wider than a /32", daemon.BanRequest{Prefix: netip.MustParsePrefix("2001::/16")}},
		{"everybody", daemon.BanRequest{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Force: true}},
		{"own session", daemon.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Force: true, Peers: []netip.Addr{peer}}},
		{"control characters", daemon.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Because: "a\nb"}},
		{"loopback", daemon.BanRequest{Prefix: netip.MustParsePrefix("127.0.0.0/24")}},
		{"no prefix", daemon.BanRequest{}},
	} {
		var r *daemon.Refusal
		if _, err := h.Ban(ctx, bad.BanRequest); !errors.As(err, &r) {
			t.Errorf("%s: got %v, want a refusal", bad.name, err)
		}
	}
	h.wantBanned()
	if err := h.AllowAdd(ctx, allow.Addition{Prefix: netip.MustParsePrefix("198.51.100.128/25")}, "test"); err != nil {
		t.Fatal(err)
	}
	made, err := h.Ban(ctx, daemon.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.0/24"), For: time.Hour, Because: "floods", By: "test"})
	if err != nil || len(made) != 2 { // one at each door
		t.Fatalf("ban: %d made, %v", len(made), err)
	}
	for _, m := range made {
		if !m.Pinned || m.Because != "floods" || m.State != "in force" {
			t.Errorf("made %+v", m)
		}
	}
	h.wantBanned("198.51.100.0/25")
	// The allowlist carves what runs, at once.
	if err := h.AllowAdd(ctx, allow.Addition{Prefix: netip.MustParsePrefix("198.51.100.64/26")}, "test"); err != nil {
		t.Fatal(err)
	}
	h.wantBanned("198.51.100.0/26")
	if err := h.AllowRemove(ctx, netip.MustParsePrefix("203.0.113.0/24"), "test"); err == nil {
		t.Error("what is not on the allowlist was taken off it")
	}
	if _, err := h.Unban(ctx, daemon.UnbanRequest{By: "test"}); err != nil {
		t.Fatal(err)
	}
	h.wantBanned()
}

// What an operator does is logged once, with who did it.
func TestLoggedOnce(t *testing.T) {
	var out bytes.Buffer // written to by the daemon's goroutines, one at a time, and read after the stop
	h := startHost(t, t.TempDir(), func(o *daemon.Options) {
		o.Log = slog.New(slog.NewTextHandler(&out, nil))
		o.Reload = func(context.Context) (daemon.Settings, error) {
			return daemon.Settings{}, errors.New("line 7 is broken")
		}
	})
	ctx := t.Context()
	who := func(what string) string { return "root (uid 0, pid 4711) for " + what }
	_, err := h.Ban(ctx, daemon.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.0/24"), By: who("ban")})
	_, err2 := h.Unban(ctx, daemon.UnbanRequest{Prefix: netip.MustParsePrefix("198.51.100.7/32"), For: time.Hour, By: who("unban")})
	err = errors.Join(err, err2,
		h.AllowAdd(ctx, allow.Addition{Prefix: netip.MustParsePrefix("203.0.113.0/25")}, who("allow")),
		h.AllowRemove(ctx, netip.MustParsePrefix("203.0.113.0/25"), who("remove")),
		h.Pause(ctx, who("pause")), h.Resume(ctx, who("resume")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Reload(ctx, who("reload")); err == nil {
		t.Error("a broken configuration was taken")
	}
	h.stop()
	for _, what := range []string{"ban", "unban", "allow", "remove", "pause", "resume", "reload", "line 7 is broken"} {
		want := who(what)
		if what == "line 7 is broken" {
			want = what
		}
		if n := strings.Count(out.String(), want); n != 1 {
			t.Errorf("%s was logged %d times", want, n)
		}
	}
	if n := strings.Count(out.String(), "203.0.113.0/25"); n != 2 {
		t.Errorf("putting a prefix on the allowlist and taking it off were logged %d times\n%s", n, &out)
	}
}

func TestPause(t *testing.T) {
	h := startHost(t, t.TempDir(), nil)
	ctx := t.Context()
	ch := h.listen()
	if err := h.Pause(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	h.reject("203.0.113.5", 30)
	// By hand it goes on.
	if _, err := h.Ban(ctx, daemon.BanRequest{Prefix: netip.MustParsePrefix("203.0.113.9/32"), By: "test"}); err != nil {
		t.Fatal(err)
	}
	for lines := uint64(0); lines < 30; {
		s, err := h.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lines = s.Sources[0].Lines; !s.Paused {
			t.Fatal("status does not say that it is paused")
		}
	}
	h.wantBanned("203.0.113.9/32")
	if err := h.Resume(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	h.reject("203.0.113.5", 30)
	until(t, ch, "the ban", isBan("203.0.113.5/32"))
	h.wantBanned("203.0.113.5/32", "203.0.113.9/32")
}

// TestRestart holds that what the operator did, and what was found out, is
// there again after a stop.
func TestRestart(t *testing.T) {
	folder := t.TempDir()
	h := startHost(t, folder, nil)
	ctx := t.Context()
	ch := h.listen()
	h.reject("203.0.113.5", 12)
	until(t, ch, "the ban", isBan("203.0.113.5/32"))
	if _, err := h.Ban(ctx, daemon.BanRequest{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Because: "floods"}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []allow.Addition{{Prefix: netip.MustParsePrefix("192.0.2.1/32")}, {Prefix: netip.MustParsePrefix("192.0.2.2/32"), Persist: true}} {
		if err := h.AllowAdd(ctx, a, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Pause(ctx, "test"); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h = startHost(t, folder, nil)
	h.wantBanned("198.51.100.0/24", "203.0.113.5/32")
	s, err := h.Status(ctx)
	if err != nil || !s.Paused {
		t.Errorf("no longer paused: %+v, %v", s, err)
	}
	bans, err := h.Bans(ctx)
	if err != nil || len(bans) != 3 {
		t.Fatalf("%d bans, %v", len(bans), err)
	}
	if b := bans[0]; b.Because != "floods" || b.Until != ban.Forever {
		t.Errorf("the ban by hand is now %+v", b)
	}
	l := h.Allowlist()
	if len(l.Lookup(netip.MustParseAddr("192.0.2.2"))) == 0 {
		t.Error("the addition that was to persist is gone")
	}
	if len(l.Lookup(netip.MustParseAddr("192.0.2.1"))) != 0 {
		t.Error("the addition that was not to persist is there")
	}
}

// TestReload holds that a reload keeps bans and scores, and that a broken
// configuration changes nothing.
func TestReload(t *testing.T) {
	folder := t.TempDir()
	var next func() (daemon.Settings, error)
	h := startHost(t, folder, func(o *daemon.Options) {
		o.Settings.Lines = []string{"a: 1", "b: 2"}
		o.Reload = func(context.Context) (daemon.Settings, error) { return next() }
	})
	ctx := t.Context()
	ch := h.listen()
	h.reject("203.0.113.5", 12)
	until(t, ch, "the ban", isBan("203.0.113.5/32"))
	// Almost there: 10 is the limit.
	h.reject("203.0.113.77", 9)
	for units := 0.0; units < 9; {
		s, err := h.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range s.Near {
			if n.Window == "burst" {
				units = n.Score
			}
		}
	}

	next = func() (daemon.Settings, error) { return daemon.Settings{}, errors.New("postmoat.yaml:3: no such key") }
	if _, err := h.Reload(ctx, "test"); err == nil || !strings.Contains(err.Error(), "postmoat.yaml:3") {
		t.Errorf("a broken configuration: %v", err)
	}
	other := filepath.Join(folder, "other.log")
	second, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	next = func() (daemon.Settings, error) {
		s, err := settings(filepath.Join(folder, "mail.log"), time.Now)
		if err != nil {
			return s, err
		}
		more, err := settings(other, time.Now)
		s.Sources = append(s.Sources, more.Sources...)
		s.Allow.Networks = []allow.Network{{Prefix: netip.MustParsePrefix("203.0.113.5/32"), Origin: "postmoat.yaml:2"}}
		s.Lines, s.Fixed = []string{"a: 1", "b: 3"}, []string{"firewall: pf"}
		return s, err
	}
	changes, err := h.Reload(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"- b: 2", "+ b: 3", "! firewall: pf (takes effect with a restart)"}; !slices.Equal(changes, want) {
		t.Errorf("changes %q, want %q", changes, want)
	}
	h.wantBanned() // now allowlisted
	// The score has survived: one more is enough. It comes from the new source.
	h.log = second
	for s := (daemon.Status{}); len(s.Sources) < 2 || s.Sources[1].State != source.Following; {
		if s, err = h.Status(ctx); err != nil {
			t.Fatal(err)
		}
	}
	h.reject("203.0.113.77", 1)
	until(t, ch, "the ban", isBan("203.0.113.77/32"))
	s, err := h.Status(ctx)
	if err != nil || len(s.Sources) != 2 {
		t.Errorf("sources after the reload: %+v, %v", s.Sources, err)
	}
}

// A source that a reload adds, and that gets no line before a restart, goes on
// after it where it was when it was added.
func TestAddedSourceKeepsItsPlace(t *testing.T) {
	for _, name := range []string{"with lines", "empty", "missing"} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			other := filepath.Join(folder, "other.log")
			reject := func(n int, client string) {
				f, err := os.OpenFile(other, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				for i := range n {
					fmt.Fprintf(f, "%s mx postfix/smtpd[%d]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <u%d@example.com>: Recipient address rejected: User unknown in local recipient table; from=<> to=<u%d@example.com> proto=ESMTP helo=<x>\n",
						time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), 1000+i, client, i, i)
				}
			}
			switch name {
			case "with lines":
				reject(12, "203.0.113.99") // before it was added
			case "empty":
				reject(0, "")
			}
			both := func(s *daemon.Settings) {
				s.Sources = append(slices.Clone(s.Sources), daemon.Source{
					Key: "file:" + other, Location: time.UTC,
					New: func(start source.Start) source.Source {
						return source.NewFile(source.FileOptions{Path: other, Start: start})
					},
				})
			}
			h := startHost(t, folder, func(o *daemon.Options) {
				fresh := o.Settings
				both(&fresh)
				o.Reload = func(context.Context) (daemon.Settings, error) { return fresh, nil }
			})
			if _, err := h.Reload(t.Context(), "test"); err != nil {
				t.Fatal(err)
			}
			for began := false; !began; {
				s, err := h.Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				began = s.Sources[1].State != source.Idle && s.Sources[1].State != source.CatchingUp
			}
			h.stop()
			reject(12, "203.0.113.5")
			h = startHost(t, folder, func(o *daemon.Options) { both(&o.Settings) })
			h.wantBanned("203.0.113.5/32")
		})
	}
}

// TestStrangeLog: a log whose lines have no time that can be read is an alarm,
// until they have one again. A few such lines are none.
func TestStrangeLog(t *testing.T) {
	h := startHost(t, t.TempDir(), nil)
	ch := h.listen()
	write := func(lines string) {
		t.Helper()
		if _, err := h.log.WriteString(lines); err != nil {
			t.Fatal(err)
		}
	}
	ours := func(kind string) func(daemon.Event) bool {
		return func(ev daemon.Event) bool { return ev.Type == kind && ev.Kind == "not-understood" }
	}
	for range 100 {
		h.reject("203.0.113.5", 2)
		write("\tat java.lang.Thread.run(Thread.java:829)\n")
	}
	until(t, ch, "the ban", isBan("203.0.113.5/32"))
	time.Sleep(1500 * time.Millisecond) // alarms are looked for once a second
	s, err := h.Status(t.Context())
	if err != nil || slices.ContainsFunc(s.Alarms, func(a daemon.Alarm) bool { return a.Kind == "not-understood" }) {
		t.Errorf("a third of 300 lines without a time: %v, alarms %+v", err, s.Alarms)
	}
	write(strings.Repeat("28/11/2026 16.35.01 mx postfix/smtpd[7]: connect from unknown[192.0.2.7]\n", 400))
	ev := until(t, ch, "the alarm", ours("alarm"))
	if !strings.Contains(ev.Text, "mail.log: ") || !strings.Contains(ev.Text, "no time") {
		t.Errorf("the alarm: %q", ev.Text)
	}
	h.reject("203.0.113.9", 3000)
	until(t, ch, "the end of the alarm", ours("clear"))
}

// TestLostState holds that a daemon that has lost its state takes its bans over
// from the firewall, says so, and bans nobody for old lines.
func TestLostState(t *testing.T) {
	folder := t.TempDir()
	h := startHost(t, folder, nil)
	ch := h.listen()
	h.reject("203.0.113.5", 12)
	until(t, ch, "the ban", isBan("203.0.113.5/32"))
	h.rejectAt(time.Now().Add(-time.Minute), "203.0.113.6", 9)
	h.stop()
	state := filepath.Join(folder, "state")
	files, err := filepath.Glob(filepath.Join(state, "snapshot.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no snapshot: %v, %v", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(f, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	held, err := memory.New(firewall.Options{Ports: config.Default().Doors})
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(time.Hour).Unix()
	if err := errors.Join(held.Setup(t.Context(), nil), held.Apply(t.Context(), ban.Change{Add: []ban.Entry{
		{Prefix: netip.MustParsePrefix("203.0.113.5/32"), Until: end, Deadline: end},
		{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Until: end, Deadline: end},
	}})); err != nil {
		t.Fatal(err)
	}
	h = startHost(t, folder, func(o *daemon.Options) { o.Backend = held })
	h.backend = held
	h.wantBanned("198.51.100.0/24", "203.0.113.5/32")
	bans, err := h.Bans(t.Context())
	if err != nil || len(bans) != 2 || !strings.Contains(bans[0].Because, "read back") {
		t.Errorf("bans %+v, %v", bans, err)
	}
	ch = h.listen()
	// Who asks first hears of it.
	s, err := h.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Healthy || !slices.ContainsFunc(s.Alarms, func(a daemon.Alarm) bool { return a.Kind == "state" }) {
		t.Errorf("healthy %v, alarms %+v: want one of the state", s.Healthy, s.Alarms)
	}
	// Old lines do not count: one more of 203.0.113.6 is not the tenth.
	h.users = 100
	h.reject("203.0.113.6", 1)
	h.reject("203.0.113.8", 12)
	until(t, ch, "the ban", isBan("203.0.113.8/32"))
	h.wantBanned("198.51.100.0/24", "203.0.113.5/32", "203.0.113.8/32")
}
