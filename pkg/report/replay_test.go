package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/loggen"
	"github.com/postmoat/postmoat/pkg/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func replay(t testing.TB, o report.Options, allow ...string) *report.Report {
	t.Helper()
	if o.Location == nil {
		o.Location = time.UTC
	}
	e, rules := shipped(t, allow...)
	r, err := report.Replay(t.Context(), e, rules, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGolden replays testdata/replay/NAME/mail.log and compares the report
// with want.json and want.txt beside it, which were checked by hand.
func TestGolden(t *testing.T) {
	logs, err := filepath.Glob("../../testdata/replay/*/mail.log")
	if err != nil || len(logs) == 0 {
		t.Fatalf("no golden logs: %v", err)
	}
	for _, log := range logs {
		t.Run(filepath.Base(filepath.Dir(log)), func(t *testing.T) {
			o := report.Options{Paths: []string{log}, Now: time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC), Top: 10}
			r := replay(t, o)
			o.Brief = true
			var js, brief, text bytes.Buffer
			if err := errors.Join(r.JSON(&js), replay(t, o).JSON(&brief)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(js.Bytes(), brief.Bytes()) {
				t.Errorf("JSON of a brief report:\n%s", brief.Bytes())
			}
			if err := r.Text(&text, 10); err != nil {
				t.Fatal(err)
			}
			for name, got := range map[string][]byte{"want.json": js.Bytes(), "want.txt": text.Bytes()} {
				path := filepath.Join(filepath.Dir(log), name)
				if *update {
					if err := os.WriteFile(path, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), string(got)); d != "" {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
			}
		})
	}
}

// host says whether a ban is of one client.
func host(t *testing.T, b report.Ban) bool {
	t.Helper()
	p, err := netip.ParsePrefix(b.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	return p.Addr().Is4() && p.Bits() == 32 || p.Addr().Is6() && p.Bits() >= 64
}

// banned says whether an address was ever inside a ban.
func banned(t *testing.T, r *report.Report, addr string) bool {
	t.Helper()
	a := netip.MustParseAddr(addr)
	for _, b := range r.Bans {
		if netip.MustParsePrefix(b.Prefix).Contains(a) {
			return true
		}
	}
	return false
}

// TestAttack: the attack of 2004, today: more than 97 % of the offences are
// prevented with at most 20 entries, and no honest client is inside one.
func TestAttack(t *testing.T) {
	path, truth := logOf(t, loggen.Options{Mix: "a", Lines: 400_000, Seed: 1})
	r := replay(t, report.Options{Paths: []string{path}, Top: 10})
	if r.Prevented.Share <= 0.97 {
		t.Errorf("%.1f %% of the offences prevented", 100*r.Prevented.Share)
	}
	if r.Firewall.Peak > 20 || r.Firewall.Peak == 0 {
		t.Errorf("%d entries in force at once", r.Firewall.Peak)
	}
	for a := range truth.Honest {
		if truth.Attackers[a] == 0 && banned(t, r, a) {
			t.Errorf("%s is honest and was inside a ban", a)
		}
	}
	missed := 0
	for a := range truth.Attackers {
		if !banned(t, r, a) {
			missed++
		}
	}
	if missed > 0 {
		t.Errorf("%d of %d attackers were never inside a ban", missed, len(truth.Attackers))
	}
}

// Test2004 is the attack that started it all, as it is shipped.
func Test2004(t *testing.T) {
	r := replay(t, report.Options{Paths: []string{"../../testdata/replay/attack-2004.log.gz"}, Top: 10})
	if r.First.Year() != 2004 {
		t.Errorf("the log begins in %d: the year was not taken from the archive", r.First.Year())
	}
	if r.Prevented.Share <= 0.97 || r.Firewall.Peak > 20 {
		t.Errorf("%.1f %% prevented with %d entries", 100*r.Prevented.Share, r.Firewall.Peak)
	}
	if r.Collateral.Clients != 0 {
		t.Errorf("collateral: %+v", r.Collateral)
	}
	if banned(t, r, "198.19.200.25") {
		t.Error("a good sender in the middle of an attacking network was inside a ban")
	}
	if r.NotUnderstood != 0 {
		t.Errorf("%d lines not understood: %v", r.NotUnderstood, r.Samples)
	}
	if r.Attack == nil || r.Attack.From.Format("Jan 2") != "Jul 14" {
		t.Errorf("attack: %+v", r.Attack)
	}
}

// TestBotnet: hosts that have nothing to do with each other are never made
// into a network.
func TestBotnet(t *testing.T) {
	path, _ := logOf(t, loggen.Options{Mix: "b", Lines: 300_000, Seed: 1})
	r := replay(t, report.Options{Paths: []string{path}, Top: 10})
	hosts := 0
	for _, b := range r.Bans {
		if host(t, b) {
			hosts++
		} else if len(b.Members) < 3 {
			t.Errorf("%s is banned for %d offenders", b.Prefix, len(b.Members))
		}
	}
	if hosts == 0 {
		t.Error("not one bot was banned")
	}
}

// TestHonest: mail as usual, and all the ways in which honest clients look
// bad, ban nobody.
func TestHonest(t *testing.T) {
	for _, mix := range []string{"c", "backscatter", "provider", "forwarder", "phones", "monitor"} {
		t.Run(mix, func(t *testing.T) {
			o := loggen.Options{Mix: mix, Seed: 2}
			if mix == "c" {
				o.Lines = 300_000
			}
			path, _ := logOf(t, o)
			r := replay(t, report.Options{Paths: []string{path}, Top: 10})
			if r.Events == 0 || r.Good == 0 {
				t.Fatalf("nothing was read: %d events, %d good", r.Events, r.Good)
			}
			for _, b := range r.Bans {
				t.Errorf("banned: %s: %s", b.Prefix, b.Why)
			}
		})
	}
}

// TestRange: a network of which every host stays below its own limit is found
// all the same.
func TestRange(t *testing.T) {
	path, truth := logOf(t, loggen.Options{Mix: "range", Seed: 1})
	r := replay(t, report.Options{Paths: []string{path}, Top: 10})
	if len(truth.Attackers) != 200 {
		t.Fatalf("%d attackers", len(truth.Attackers))
	}
	wide := false
	for _, b := range r.Bans {
		wide = wide || !host(t, b)
	}
	if !wide {
		t.Errorf("the network was not found: %d bans", len(r.Bans))
	}
	if r.Prevented.Share < 0.9 {
		t.Errorf("%.1f %% prevented", 100*r.Prevented.Share)
	}
}

// TestSpared: neither the good sender nor the allowlisted partner inside the
// attacking /24 is ever banned, the rest of it is.
func TestSpared(t *testing.T) {
	path, truth := logOf(t, loggen.Options{Mix: "goodin", Seed: 1})
	var inside []string
	for a := range truth.Honest {
		if netip.MustParsePrefix("203.0.113.0/24").Contains(netip.MustParseAddr(a)) {
			inside = append(inside, a)
		}
	}
	if len(inside) != 2 {
		t.Fatalf("%v: want the good sender and the partner", inside)
	}
	// Either could be the one that has to be listed: both ways must hold.
	r := replay(t, report.Options{Paths: []string{path}, Top: 10}, inside...)
	for _, a := range inside {
		if banned(t, r, a) {
			t.Errorf("%s is allowlisted and was inside a ban", a)
		}
	}
	covered := 0
	for a := range truth.Attackers {
		if banned(t, r, a) {
			covered++
		}
	}
	if covered < len(truth.Attackers)*9/10 {
		t.Errorf("%d of %d attackers were banned", covered, len(truth.Attackers))
	}
}

// TestSameOutput: the same input gives the same bytes, whatever parses it.
func TestSameOutput(t *testing.T) {
	path, truth := logOf(t, loggen.Options{Mix: "a", Lines: 60_000, Seed: 4})
	ssh := filepath.Join(t.TempDir(), "ssh.log")
	var b bytes.Buffer
	for range 40 {
		b.WriteString("Jul 14 00:00:00 mx1 sshd[5]: failed bob from 192.0.2.9\n")
	}
	for range 9 { // no user: too few for a ban
		b.WriteString("Jul 14 00:00:01 mx1 postfix/submission/smtpd[7]: warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: UGFzc3dvcmQ6\n")
	}
	if err := os.WriteFile(ssh, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	custom := `rules:
  - name: ssh
    about: sshd, which has nothing to do with mail.
    when: {program: sshd, pattern: '^failed (?P<sasl_user>[^ ]+) from (?P<client>[^ ]+)$'}
    door: login
    weight: 1
    windows: [day]
`
	if err := os.WriteFile(filepath.Join(folder, "ssh.yaml"), []byte(custom), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		folders []string
		o       report.Options
		lines   uint64 // 0: not checked
	}{
		"plain":  {[]string{config.Builtin}, report.Options{Paths: []string{path}}, 60_000},
		"until":  {[]string{config.Builtin}, report.Options{Paths: []string{path}, Until: truth.End.Add(-time.Minute)}, 0},
		"custom": {[]string{config.Builtin, folder}, report.Options{Paths: []string{ssh}, Now: time.Date(2026, 7, 15, 0, 0, 0, 0, time.UTC)}, 49},
	} {
		var first []byte
		for _, procs := range []int{1, 2, 4, 2, 1} {
			old := runtime.GOMAXPROCS(procs)
			e, rules := engineOf(t, c.folders)
			c.o.Location, c.o.Top = time.UTC, 10
			r, err := report.Replay(t.Context(), e, rules, c.o)
			runtime.GOMAXPROCS(old)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := errors.Join(r.JSON(&b), r.Text(&b, 0)); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b.Bytes()
			} else if !bytes.Equal(first, b.Bytes()) {
				t.Errorf("%s: %d processors give another report", name, procs)
			}
			if c.lines != 0 && r.Lines != c.lines {
				t.Errorf("%s: %d lines, want %d", name, r.Lines, c.lines)
			}
			if name == "custom" {
				for _, x := range r.Bans {
					if strings.HasPrefix(x.Prefix, "198.51.100.") {
						t.Errorf("%d processors: %s is banned with the user of another line: %s", procs, x.Prefix, x.Why)
					}
				}
			}
		}
	}
}

// TestMergedAnywhere: the order in which files are merged does not depend on
// the number of processors, wherever in a block their stamps go back.
func TestMergedAnywhere(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, lines ...string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, ahead := range []int{100, 1200, 1300, 2500, 2600} { // lines of some 100 bytes
		var lines []string
		for n := range 3000 {
			hour := 8
			if n > ahead && n < ahead+200 {
				hour = 20
			}
			lines = append(lines, fmt.Sprintf("2026-11-23T%02d:00:00Z mx1 postfix/smtpd[7]: something new %5d %s", hour, n, strings.Repeat("x", 35)))
		}
		o := report.Options{Paths: []string{
			write("a.log", lines...),
			write("b.log", "2026-11-23T12:00:00Z mx1 postfix/smtpd[7]: something else", lines[0]),
		}, Top: 10}
		var want *report.Report
		for _, procs := range []int{1, 2, 3} {
			old := runtime.GOMAXPROCS(procs)
			got := replay(t, o)
			runtime.GOMAXPROCS(old)
			if want == nil {
				want = got
			} else if d := cmp.Diff(want, got); d != "" {
				t.Errorf("stamps ahead from line %d, %d processors:\n%s", ahead, procs, d)
			}
		}
	}
}

// TestNotesUntil: what is noted of the files up to the end of the span does not
// depend on how far they were read ahead of it.
func TestNotesUntil(t *testing.T) {
	var log bytes.Buffer
	for n := range 60 { // a long line in each block
		for i := range 2000 {
			fmt.Fprintf(&log, "2026-11-23T08:%02d:00Z mx1 postfix/smtpd[7]: connect from mail-%d.example.com[192.0.2.7] %s\n", n, i, strings.Repeat("x", 35))
		}
		log.Write(bytes.Repeat([]byte("y"), 70_000))
		log.WriteString("\n2026-11-23T08:59:00Z mx1 postfix/smtpd[7]: connect from unknown[192.0.2.7]\n")
	}
	path := filepath.Join(t.TempDir(), "mail.log")
	if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	var want *report.Report
	for _, procs := range []int{1, 2, 3} {
		old := runtime.GOMAXPROCS(procs)
		got := replay(t, report.Options{Paths: []string{path}, Until: time.Date(2026, 11, 23, 8, 50, 0, 0, time.UTC), Top: 10})
		runtime.GOMAXPROCS(old)
		if want == nil {
			want = got
			if !got.Past || len(got.Notes) == 0 || strings.Contains(strings.Join(got.Notes, " "), " 60") {
				t.Fatalf("past %t, notes %q", got.Past, got.Notes)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%d processors:\n%s", procs, d)
		}
	}
}

// TestRotated: rotated files in any order are the same log as the whole.
func TestRotated(t *testing.T) {
	path, truth := logOf(t, loggen.Options{Mix: "a", Lines: 40_000, Seed: 6})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	dir := t.TempDir()
	var parts []string
	for i, cut := range []int{0, 9000, 21000, 33000} {
		end := []int{9000, 21000, 33000, len(lines)}[i]
		p := filepath.Join(dir, []string{"d.log", "b.log", "c.log", "a.log"}[i])
		if err := os.WriteFile(p, bytes.Join(lines[cut:end], nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, truth.End, truth.End); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	want := replay(t, report.Options{Paths: []string{path}, Top: 10})
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}} {
		var paths []string
		for _, i := range order {
			paths = append(paths, parts[i])
		}
		got := replay(t, report.Options{Paths: paths, Top: 10})
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("order %v (-whole +rotated):\n%s", order, d)
		}
	}
	twice := replay(t, report.Options{Paths: []string{path, path}, Top: 10})
	twice.Notes = want.Notes // says that lines were there twice
	if d := cmp.Diff(want, twice); d != "" {
		t.Errorf("the same file twice (-once +twice):\n%s", d)
	}
}

// TestSince: what lies before --since is learnt from and not counted.
func TestSince(t *testing.T) {
	path, _ := logOf(t, loggen.Options{Mix: "goodin", Seed: 1})
	all := replay(t, report.Options{Paths: []string{path}, Top: 10})
	since := all.First.Add(47 * time.Hour)
	late := replay(t, report.Options{Paths: []string{path}, Since: since, Top: 10})
	if late.First.Before(since) || late.Events+late.Learnt != all.Events+all.Learnt {
		t.Errorf("first event at %s; %d events and %d learnt, of %d", late.First, late.Events, late.Learnt, all.Events)
	}
	if len(late.Bans) == 0 {
		t.Fatal("nobody was banned")
	}
	for _, b := range late.Bans {
		if b.From.Before(since) {
			t.Errorf("%s was banned at %s, before --since", b.Prefix, b.From)
		}
	}
	until := since.Add(-time.Hour)
	early := replay(t, report.Options{Paths: []string{path}, Until: until, Top: 10})
	if early.Last.After(until) || early.Events == 0 {
		t.Errorf("last event at %s with --until %s", early.Last, until)
	}
}

// TestPastIsKept: what is remembered of the line that ended the reading is that
// line, and not what its place is used for next.
func TestPastIsKept(t *testing.T) {
	const form = "2026-11-23T%02d:00:00Z mx1 postfix/smtpd[7]: lost connection after AUTH from unknown[192.0.2.%d]\n"
	var log strings.Builder
	for n := 1; n <= 40; n++ {
		fmt.Fprintf(&log, form, 8+n/36, n)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for procs := 1; procs <= 2; procs++ {
		runtime.GOMAXPROCS(procs)
		e, rules := shipped(t)
		r, err := report.Replay(t.Context(), e, rules, report.Options{
			Paths: []string{"-"}, Stdin: strings.NewReader(log.String()),
			Clock: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC),
		})
		if err != nil || r.Lines != 35 {
			t.Fatalf("%v, %d lines", err, r.Lines)
		}
		out := e.Feed(0, 37, []byte("2026-11-23T09:00:01Z mx1 last message repeated 2 times"))
		if got := out.Event.Client.String(); got != "192.0.2.36" {
			t.Errorf("%d processors: line 36 was of %s", procs, got)
		}
	}
}

// TestPipe: a log without years that comes through a pipe, which has no time of
// its own, lies near the clock.
func TestPipe(t *testing.T) {
	clock := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)
	r := replay(t, report.Options{
		Paths: []string{"-"}, Clock: clock, Top: 10,
		Stdin: strings.NewReader("Dec 30 10:00:00 mx1 postfix/smtpd[1]: connect from a.example[192.0.2.1]\n" +
			"Jan  2 10:00:00 mx1 postfix/smtpd[2]: connect from b.example[192.0.2.2]\n"),
	})
	first, last := time.Date(2025, 12, 30, 10, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)
	if r.Events != 2 || !r.First.Equal(first) || !r.Last.Equal(last) {
		t.Errorf("%d events from %s to %s, want 2 from %s to %s", r.Events, r.First, r.Last, first, last)
	}
}

// TestComesBack: a ban that ended and was revived by the next line has been
// added twice and removed once.
func TestComesBack(t *testing.T) {
	var b strings.Builder
	at := time.Date(2026, 7, 14, 0, 0, 0, 0, time.UTC)
	offend := func(n int) {
		fmt.Fprintf(&b, "%s mx1 postfix/smtpd[%d]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <u%d@example.org>: Recipient address rejected: User unknown in local recipient table; from=<a@b.example> to=<u%d@example.org> proto=ESMTP helo=<x>\n",
			at.Format(time.RFC3339), n%7, n, n)
		at = at.Add(time.Second)
	}
	for n := range 30 {
		offend(n)
	}
	at = at.Add(2 * time.Hour)
	offend(30)
	r := replay(t, report.Options{Paths: []string{"-"}, Clock: at, Stdin: strings.NewReader(b.String())})
	if want := (report.Firewall{Adds: 2, Removes: 1, Peak: 1}); len(r.Bans) != 2 || r.Firewall != want {
		t.Errorf("%d bans, firewall %+v; want 2, %+v", len(r.Bans), r.Firewall, want)
	}
}

// TestNothingInSpan: a log that is not of the time asked for is no other
// program's.
func TestNothingInSpan(t *testing.T) {
	path, _ := logOf(t, loggen.Options{Mix: "c", Lines: 2000, Seed: 6})
	for name, o := range map[string]report.Options{
		"late since":  {Since: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		"early until": {Until: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		o.Paths = []string{path}
		r := replay(t, o)
		var text bytes.Buffer
		if err := r.Text(&text, 10); err != nil {
			t.Fatal(err)
		}
		if got := text.String(); !strings.Contains(got, "nothing in it is of the time that was asked for") || strings.Contains(got, "no line of Postfix") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}
