package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/loggen"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
)

var windows = []score.Window{
	{Name: "burst", Span: 600, Limit: 10},
	{Name: "day", Span: 86400, Limit: 30, Share: 500},
	{Name: "spray", Span: 3600, Limit: 60, Share: 800, Width4: 24, Width6: 56, Clients: 8},
}

func spec(name string, weight int, conds ...string) rule.Spec {
	s := rule.Spec{Name: name, About: name, Weight: weight}
	for i := 0; i < len(conds); i += 2 {
		s.When = append(s.When, rule.Cond{Field: conds[i], Values: []string{conds[i+1]}})
	}
	return s
}

// testRules are few and simple: what the shipped rules say is not the
// engine's business.
func testRules(t testing.TB) *rule.Set {
	t.Helper()
	reject := spec("reject", 2, "kind", "smtpd.reject")
	reject.Distinct = "recipient"
	lost := spec("lost", 1, "kind", "smtpd.lost_connection")
	lost.Per = "session"
	silent := spec("silent", 3, "kind", "smtpd.disconnect", "auth_failed", "1-")
	silent.Times = "auth_failed"
	auth := spec("auth", 3, "kind", "smtpd.sasl_fail")
	auth.Distinct = "sasl_user"
	set, err := rule.Compile([]rule.Spec{
		reject, lost, silent, auth,
		spec("imap", 3, "kind", "dovecot.login_fail"),
		spec("pregreet", 5, "kind", "postscreen.pregreet"),
		spec("dnsbl", 5, "kind", "postscreen.dnsbl"),
		spec("pipelining", 5, "kind", "smtpd.pipelining"),
		spec("errors", 5, "kind", "smtpd.too_many_errors"),
	}, []string{"burst", "day", "spray"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newEngine(t testing.TB, allow ...string) *Engine {
	t.Helper()
	set := new(prefix.Set)
	for _, s := range allow {
		set.Insert(netip.MustParsePrefix(s))
	}
	e := New(Options{
		Rules: testRules(t), Windows: windows, Allow: set, Clients: 100000,
		Ban: ban.Options{
			Time: 3600, Max: 604800, Memory: 2592000, Parole: 86400, Budget: 32768,
			Cover4: cover.Options{Price: 128, Rungs: []cover.Rung{{Bits: 24, Need: 3}, {Bits: 22, Need: 9}}},
			Cover6: cover.Options{Price: 4096, Rungs: []cover.Rung{{Bits: 56, Need: 3}, {Bits: 48, Need: 20}}},
		},
		AddressesPerMinute: 100000, KnownGood: 3,
	})
	e.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: reference.Unix()})
	e.Horizon(reference.Add(400 * 24 * time.Hour).Unix())
	return e
}

var reference = time.Date(2026, 7, 14, 0, 0, 0, 0, time.UTC)

func mix(t testing.TB, name string, lines int, seed uint64) [][]byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := loggen.Write(&b, loggen.Options{Mix: name, Lines: lines, Seed: seed, Start: reference}); err != nil {
		t.Fatal(err)
	}
	return bytes.SplitAfter(b.Bytes(), []byte("\n"))
}

// setBack is a mix whose clock is a year ahead in the second quarter, and a week
// behind in some lines of the last one, as of another host.
func setBack(t testing.TB, name string, lines int, seed uint64) [][]byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := loggen.Write(&b, loggen.Options{Mix: name, Lines: lines, Seed: seed, Start: reference, ISO: true}); err != nil {
		t.Fatal(err)
	}
	all := bytes.SplitAfter(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n"))
	for i, line := range all {
		stamp, rest, _ := bytes.Cut(line, []byte(" "))
		at, err := time.Parse(time.RFC3339, string(stamp))
		if err != nil {
			t.Fatal(err)
		}
		switch n := len(all) / 4; {
		case i >= n && i < 2*n:
			at = at.AddDate(1, 0, 0)
		case i >= 3*n && i%1000 < 100:
			at = at.AddDate(0, 0, -7)
		}
		all[i] = fmt.Appendf(nil, "%s %s", at.Format(time.RFC3339), rest)
	}
	return all
}

// history is all that an engine ever did.
type history struct {
	Changes []ban.Change
	Ended   []ban.Spell
}

func (h *history) take(e *Engine) {
	if c := e.Flush(); !c.Empty() {
		h.Changes = append(h.Changes, c)
	}
	h.Ended = append(h.Ended, e.Ended()...)
}

// seen makes bans comparable.
var seen = []cmp.Option{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.FilterPath(func(p cmp.Path) bool { s := p.Last().String(); return s == ".dead" || s == ".hidden" }, cmp.Ignore()),
}

// TestRestore stops an engine at random lines, restores it into a new one and
// gets the same bans.
func TestRestore(t *testing.T) {
	for _, name := range []string{"a", "b", "goodin", "v6", "phones", "range", "a, set back", "goodin, set back"} {
		t.Run(name, func(t *testing.T) {
			name, back := strings.CutSuffix(name, ", set back")
			r := rand.New(rand.NewPCG(7, 11))
			n := 15000
			if name == "goodin" {
				n = 0 // the attack comes after two days
			}
			lines := mix(t, name, n, 3)
			if back {
				lines = setBack(t, name, n, 3)
			}
			whole, broken := newEngine(t), newEngine(t)
			var a, b history
			cut := 0
			for i, line := range lines {
				if i == cut {
					var buf bytes.Buffer
					if err := broken.Encode(&buf); err != nil {
						t.Fatal(err)
					}
					again := newEngine(t)
					if err := again.Restore(&buf); err != nil {
						t.Fatalf("line %d: %v", i, err)
					}
					again.Horizon(reference.Add(400 * 24 * time.Hour).Unix())
					broken = again
					cut += 1 + r.IntN(len(lines)/8)
				}
				x := whole.Feed(0, uint64(i+1), line)
				xv, xo, xf := x.Verdict, x.Offences, x.Fired
				y := broken.Feed(0, uint64(i+1), line)
				if xv != y.Verdict || xo != y.Offences || xf != y.Fired {
					t.Fatalf("line %d: %q: verdict %d, %d offences, fired %v; restored: %d, %d, %v", i+1, line, xv, xo, xf, y.Verdict, y.Offences, y.Fired)
				}
				a.take(whole)
				b.take(broken)
			}
			if len(a.Changes) == 0 && name != "phones" {
				t.Fatal("nobody was banned: the test shows nothing")
			}
			if d := cmp.Diff(a.Changes, b.Changes, seen...); d != "" {
				t.Errorf("changes differ (-whole +restored):\n%s", d)
			}
			if d := cmp.Diff(a.Ended, b.Ended, append(seen, cmp.AllowUnexported(ban.Ban{}))...); d != "" {
				t.Errorf("ended bans differ (-whole +restored):\n%s", d)
			}
			if d := cmp.Diff(whole.Entries(), broken.Entries(), seen...); d != "" {
				t.Errorf("entries differ (-whole +restored):\n%s", d)
			}
			var x, y bytes.Buffer
			if err := whole.Encode(&x); err != nil {
				t.Fatal(err)
			}
			if err := broken.Encode(&y); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(x.Bytes(), y.Bytes()) {
				t.Error("the states differ")
			}
		})
	}
}

// TestRestoreBadState: nonsense is an error, never a panic.
func TestRestoreBadState(t *testing.T) {
	e := newEngine(t)
	for i, line := range mix(t, "a", 3000, 1) {
		e.Feed(0, uint64(i+1), line)
	}
	var buf bytes.Buffer
	if err := e.Encode(&buf); err != nil {
		t.Fatal(err)
	}
	state := buf.Bytes()
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 300 {
		bad := slices.Clone(state)
		for range 1 + r.IntN(8) {
			bad[r.IntN(len(bad))] = byte(r.IntN(256))
		}
		if r.IntN(3) == 0 {
			bad = bad[:r.IntN(len(bad))]
		}
		if err := newEngine(t).Restore(bytes.NewReader(bad)); err != nil {
			refused++
		}
	}
	if refused < 50 {
		t.Errorf("only %d of 300 broken states were refused", refused)
	}
}

// reject is a line of a client that asks for a recipient that is not there.
func reject(at time.Time, client string, n int) []byte {
	return fmt.Appendf(nil, "%s mx postfix/smtpd[%d]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <u%d@example.net>: Recipient address rejected: User unknown in local recipient table; from=<> to=<u%d@example.net> proto=ESMTP helo=<x>\n",
		at.Format(time.Stamp), 1000+n%7, client, n, n)
}

// accepted is the disconnect of a client that delivered a message.
func accepted(at time.Time, client string) []byte {
	return fmt.Appendf(nil, "%s mx postfix/smtpd[77]: disconnect from mail.example[%s] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5\n", at.Format(time.Stamp), client)
}

// TestSpared: an allowlisted host and a known good sender in the middle of an
// attacked /24 are never inside a ban; the rest of the /24 is.
func TestSpared(t *testing.T) {
	const listed, good = "198.51.100.77", "198.51.100.200"
	e := newEngine(t, listed+"/32")
	seq := uint64(0)
	feed := func(line []byte) *Outcome { seq++; return e.Feed(0, seq, line) }
	at := reference
	for day := range 3 {
		for i := range 3 {
			feed(accepted(at.Add(time.Duration(day)*24*time.Hour+time.Duration(i)*time.Hour), good))
		}
	}
	at = at.Add(72 * time.Hour)
	check := func() {
		for _, x := range e.Entries() {
			for _, a := range []string{listed, good} {
				if x.Prefix.Contains(netip.MustParseAddr(a)) {
					t.Fatalf("%s is inside the ban of %s", a, x.Prefix)
				}
			}
		}
	}
	for n := range 4000 {
		at = at.Add(time.Second)
		host := 1 + n%254
		client := fmt.Sprintf("198.51.100.%d", host)
		switch client {
		case good:
			feed(accepted(at, good))
		default:
			feed(reject(at, client, n)) // the allowlisted one attacks too
		}
		check()
	}
	covered := 0
	for host := range 256 {
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(host)})
		for _, x := range e.Entries() {
			if x.Prefix.Contains(a) {
				covered++
			}
		}
	}
	if covered < 250 {
		t.Errorf("%d of 254 attacking addresses are banned", covered)
	}
	why := ""
	for b := range e.Bans() {
		why += b.Explain() + "\n"
	}
	if !strings.Contains(why, listed) || !strings.Contains(why, good) {
		t.Errorf("no ban says that it was made around %s and %s:\n%s", listed, good, why)
	}
}

// TestSetAllow: a network that is put on the allowlist is free in the same
// second.
func TestSetAllow(t *testing.T) {
	e := newEngine(t)
	at := reference
	for n := range 300 {
		at = at.Add(time.Second)
		e.Feed(0, uint64(n+1), reject(at, fmt.Sprintf("198.51.100.%d", 1+n%30), n))
	}
	inside := func(a string) bool {
		return slices.ContainsFunc(e.Entries(), func(x ban.Entry) bool { return x.Prefix.Contains(netip.MustParseAddr(a)) })
	}
	if !inside("198.51.100.7") || !inside("198.51.100.200") {
		t.Fatalf("the /24 is not banned: %v", e.Entries())
	}
	s := new(prefix.Set)
	s.Insert(netip.MustParsePrefix("198.51.100.0/29"))
	e.Flush()
	e.SetAllow(s)
	if inside("198.51.100.7") {
		t.Error("198.51.100.7 is still banned")
	}
	if !inside("198.51.100.20") {
		t.Error("198.51.100.20 is not banned any more")
	}
	c := e.Flush()
	if len(c.Remove) == 0 {
		t.Error("the firewall was not told")
	}
}

// TestDoors: a host that offends at one door is banned at all mail ports, a
// wider network at its own door only.
func TestDoors(t *testing.T) {
	e := newEngine(t)
	at := reference
	seq := uint64(0)
	for n := range 60 {
		at = at.Add(time.Second)
		seq++
		e.Feed(0, seq, reject(at, fmt.Sprintf("198.51.100.%d", 1+n%3), n))
	}
	for n := range 20 {
		at = at.Add(time.Second)
		seq++
		e.Feed(0, seq, reject(at, "203.0.113.9", n))
	}
	imap := func(client string) *Outcome {
		seq++
		return e.Feed(0, seq, fmt.Appendf(nil, "%s mx dovecot: imap-login: Login: user=<u>, method=PLAIN, rip=%s, lip=192.0.2.25, mpid=1, session=<x>\n", at.Format(time.Stamp), client))
	}
	if out := imap("198.51.100.200"); out.Verdict != Neutral {
		t.Errorf("a neighbour in a network that is banned at port 25 can't read mail: verdict %d", out.Verdict)
	}
	if out := imap("203.0.113.9"); out.Verdict != Prevented {
		t.Errorf("a host that is banned at port 25 can log in: verdict %d", out.Verdict)
	}
	seq++
	if out := e.Feed(0, seq, reject(at, "198.51.100.200", 1)); out.Verdict != Prevented {
		t.Errorf("a neighbour in a banned network is not banned at port 25: verdict %d", out.Verdict)
	}
}

// TestSilentAuth: failures that only the disconnect tells of count once each,
// those that had a line of their own do not count again.
func TestSilentAuth(t *testing.T) {
	e := newEngine(t)
	at := reference.Format(time.Stamp)
	feed := func(seq uint64, msg string) *Outcome {
		return e.Feed(0, seq, fmt.Appendf(nil, "%s mx postfix/submission/smtpd[5]: %s\n", at, msg))
	}
	feed(1, "connect from unknown[192.0.2.7]")
	if out := feed(2, "disconnect from unknown[192.0.2.7] ehlo=1 auth=0/3 commands=1/4"); out.Offences != 3 {
		t.Errorf("auth=0/3 without lines of their own: %d offences, want 3", out.Offences)
	}
	feed(3, "connect from unknown[192.0.2.8]")
	if out := feed(4, "warning: unknown[192.0.2.8]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"); out.Offences != 1 {
		t.Errorf("SASL failure: %d offences, want 1", out.Offences)
	}
	if out := feed(5, "disconnect from unknown[192.0.2.8] ehlo=1 auth=0/1 commands=1/2"); out.Offences != 0 {
		t.Errorf("auth=0/1 after a line of its own: %d offences, want 0", out.Offences)
	}
}

// TestOldPassword: a client that tries an old password of a user who logs in
// from there is no attacker.
func TestOldPassword(t *testing.T) {
	e := newEngine(t)
	at := reference
	seq := uint64(0)
	feed := func(format string, args ...any) *Outcome {
		seq++
		return e.Feed(0, seq, fmt.Appendf(nil, at.Format(time.Stamp)+" mx dovecot: imap-login: "+format+"\n", args...))
	}
	feed("Login: user=<alice>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25, mpid=1, session=<x>")
	scored := 0
	for range 48 * 60 {
		at = at.Add(time.Minute)
		if out := feed("Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<alice>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25, session=<y>"); out.Verdict == Scored {
			scored++
		}
	}
	if scored == 0 || scored > 49 {
		t.Errorf("%d failures scored in 48 hours, want one an hour", scored)
	}
	for range 10 {
		at = at.Add(time.Second)
		feed("Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<bob%d>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25, session=<y>", seq)
	}
	if e.Len() == 0 {
		t.Error("guessing at other users is forgiven")
	}
}

// TestSpan: lines before the span teach and do not ban, lines after it are
// nothing.
func TestSpan(t *testing.T) {
	e := newEngine(t)
	e.Span(reference.Add(time.Hour).Unix(), reference.Add(2*time.Hour).Unix())
	for n := range 100 {
		if out := e.Feed(0, uint64(n+1), reject(reference.Add(time.Duration(n)*time.Second), "192.0.2.7", n)); out.Verdict != Learnt {
			t.Fatalf("verdict %d before the span", out.Verdict)
		}
	}
	if e.Len() != 0 {
		t.Error("banned for old lines")
	}
	if out := e.Feed(0, 200, reject(reference.Add(3*time.Hour), "192.0.2.7", 1)); out.Verdict != Past {
		t.Errorf("verdict %d after the span", out.Verdict)
	}
	e = newEngine(t)
	e.Span(reference.Unix(), reference.Add(2*time.Hour).Unix())
	if out := e.Feed(0, 1, stray); out.Verdict != Nothing {
		t.Errorf("verdict %d of a first line of 2099: it is not the end of the span", out.Verdict)
	}
}

// TestTickEqualsFeed: it does not matter how often the clock is told.
func TestTickEqualsFeed(t *testing.T) {
	lines := mix(t, "a", 8000, 5)
	often, seldom := newEngine(t), newEngine(t)
	var a, b history
	for i, line := range lines {
		often.Tick(often.Now())
		often.Feed(0, uint64(i+1), line)
		seldom.Feed(0, uint64(i+1), line)
		a.take(often)
		b.take(seldom)
	}
	often.Tick(often.Now() + 1)
	for s := int64(2); s < 90000; s += 997 {
		often.Tick(seldom.Now() + s)
	}
	end := often.Now()
	seldom.Tick(end)
	a.take(often)
	b.take(seldom)
	if len(a.Ended) == 0 {
		t.Fatal("no ban ended: the test shows nothing")
	}
	if d := cmp.Diff(a.Ended, b.Ended, append(seen, cmp.AllowUnexported(ban.Ban{}))...); d != "" {
		t.Errorf("ended bans differ (-often +seldom):\n%s", d)
	}
}

// TestExact64: in a /64 that holds an allowlisted address offenders are banned
// one by one, from the 17th on the /64 around what is to be spared. In any
// other /64 the whole of it is banned at once.
func TestExact64(t *testing.T) {
	const listed = "2001:db8:0:1::77"
	e := newEngine(t, listed+"/128")
	at, seq := reference, uint64(0)
	attack := func(format string, host int) {
		for n := range 6 {
			at = at.Add(time.Second)
			seq++
			e.Feed(0, seq, reject(at, fmt.Sprintf(format, host), int(seq)*10+n))
		}
	}
	count := func() (hosts, wider int) {
		for _, x := range e.Entries() {
			if x.Prefix.Contains(netip.MustParseAddr(listed)) {
				t.Fatalf("the allowlisted address is inside %s", x.Prefix)
			}
			if x.Prefix.Bits() == 128 {
				hosts++
			} else {
				wider++
			}
		}
		return hosts, wider
	}
	for host := range 16 {
		attack("2001:db8:0:1::%x", 0x100+host)
	}
	if hosts, wider := count(); hosts != 16 || wider != 0 {
		t.Fatalf("after 16 offenders: %d hosts and %d wider bans", hosts, wider)
	}
	attack("2001:db8:0:1::%x", 0x200)
	if hosts, wider := count(); wider < 32 {
		t.Fatalf("after 17 offenders: %d hosts and %d wider bans, want the /64 around one address", hosts, wider)
	}
	seq++
	if out := e.Feed(0, seq, reject(at, "2001:db8:0:1:ffff::9", 1)); out.Verdict != Prevented {
		t.Errorf("another address of the /64: verdict %d", out.Verdict)
	}
	attack("2001:db8:0:2::%x", 1)
	if x := e.Entries(); !slices.ContainsFunc(x, func(x ban.Entry) bool { return x.Prefix == netip.MustParsePrefix("2001:db8:0:2::/64") }) {
		t.Errorf("an offender in another /64 is not banned with it: %v", x)
	}
}
