package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// An operated engine is live, and its clock is at t0.
type operated struct {
	*Engine
	seq uint64
}

var t0 = reference.Unix()

func operate(t *testing.T, allow ...string) *operated {
	t.Helper()
	e := &operated{Engine: newEngine(t, allow...)}
	e.Start(t0)
	return e
}

// reject feeds n rejects of a client; five make the limit of the burst window.
func (e *operated) reject(at int64, client string, n int) *Outcome {
	var out *Outcome
	for range n {
		e.seq++
		out = e.Feed(0, e.seq, fmt.Appendf(nil,
			"%s mx postfix/smtpd[%d]: NOQUEUE: reject: RCPT from unknown[%s]: 550 5.1.1 <u%d@example.com>: Recipient address rejected: User unknown in local recipient table; from=<> to=<u%d@example.com> proto=ESMTP helo=<x>",
			time.Unix(at, 0).UTC().Format(time.RFC3339), 1000+e.seq, client, e.seq, e.seq))
	}
	return out
}

// entries are what a firewall has to hold: "smtp 192.0.2.1/32".
func (e *operated) entries() []string {
	out := []string{}
	for _, x := range e.Entries() {
		out = append(out, x.Door.String()+" "+x.Prefix.String())
	}
	return out
}

func (e *operated) want(t *testing.T, what string, want ...string) {
	t.Helper()
	if got := e.entries(); !slices.Equal(got, want) {
		t.Errorf("%s: in force %v, want %v", what, got, want)
	}
}

func TestBan(t *testing.T) {
	for _, x := range []struct {
		ban   string
		allow []string
		want  []string // nil: refused
	}{
		{ban: "203.0.113.5/32", want: []string{"smtp 203.0.113.5/32"}},
		{ban: "203.0.113.0/24", want: []string{"smtp 203.0.113.0/24", "login 203.0.113.0/24"}},
		{ban: "203.0.113.0/24", allow: []string{"203.0.113.128/25"}, want: []string{"smtp 203.0.113.0/25", "login 203.0.113.0/25"}},
		{ban: "203.0.113.0/30", allow: []string{"203.0.113.1/32"}, want: []string{
			"smtp 203.0.113.0/32", "smtp 203.0.113.2/31", "login 203.0.113.0/32", "login 203.0.113.2/31",
		}},
		{ban: "203.0.113.5/32", allow: []string{"203.0.113.4/31"}},
		{ban: "203.0.113.0/24", allow: []string{"203.0.113.0/25", "203.0.113.128/25"}},
		{ban: "2001:db8:1::/64", want: []string{"smtp 2001:db8:1::/64"}},
		{ban: "2001:db8:1::5/128", want: []string{"smtp 2001:db8:1::5/128"}},
		{ban: "2001:db8:1::/56", want: []string{"smtp 2001:db8:1::/56", "login 2001:db8:1::/56"}},
	} {
		e := operate(t, x.allow...)
		made, err := e.Ban(netip.MustParsePrefix(x.ban), t0+60, "tests")
		if (err != nil) != (x.want == nil) || len(made) != len(x.want) {
			t.Errorf("ban %s around %v: %d made, %v", x.ban, x.allow, len(made), err)
		}
		e.want(t, "ban "+x.ban, x.want...)
		e.Tick(t0 + 59)
		e.want(t, "a second before its end", x.want...)
		e.Tick(t0 + 60)
		e.want(t, "after its end")
	}
	if _, err := operate(t).Ban(netip.MustParsePrefix("203.0.113.5/32"), t0, ""); err == nil {
		t.Error("a ban that is over already was made")
	}
}

func TestUnban(t *testing.T) {
	for _, x := range []struct {
		ban, unban string
		lifted     []string
		want       []string
	}{
		{"203.0.113.5/32", "203.0.113.0/24", []string{"203.0.113.5/32"}, nil},
		{"203.0.113.0/24", "203.0.113.0/24", []string{"203.0.113.0/24"}, nil},
		{"203.0.113.0/24", "203.0.113.0/25", []string{"203.0.113.0/24"}, []string{"smtp 203.0.113.128/25", "login 203.0.113.128/25"}},
		{"203.0.113.0/24", "198.51.100.0/24", nil, []string{"smtp 203.0.113.0/24", "login 203.0.113.0/24"}},
	} {
		e := operate(t)
		if _, err := e.Ban(netip.MustParsePrefix(x.ban), ban.Forever, ""); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range e.Unban(netip.MustParsePrefix(x.unban)) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, x.lifted) {
			t.Errorf("ban %s, unban %s: lifted %v, want %v", x.ban, x.unban, got, x.lifted)
		}
		e.want(t, "unban "+x.unban, x.want...)
	}
}

// TestBanUnbanAtRandom compares with a table of single addresses: banned is
// what was banned last, but for the allowlist.
func TestBanUnbanAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		hole := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(256))}), 28+r.IntN(5)).Masked()
		e := operate(t, hole.String())
		var banned [256]bool
		for step := range 60 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(r.IntN(256))}), 24+r.IntN(9)).Masked()
			ban4 := r.IntN(2) == 0
			if ban4 {
				_, err := e.Ban(p, ban.Forever, "")
				if inside := hole.Bits() <= p.Bits() && hole.Contains(p.Addr()); inside != (err != nil) {
					t.Fatalf("seed %d step %d: ban %s around %s: %v", seed, step, p, hole, err)
				}
			} else {
				e.Unban(p)
			}
			for i := range banned {
				a := netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
				if p.Contains(a) {
					banned[i] = ban4 && !hole.Contains(a)
				}
				var at [maillog.NumDoors]bool
				for _, x := range e.Lookup(a) {
					for d := range at {
						at[d] = at[d] || maillog.Door(d) == x.Door || x.Entry().Everywhere()
					}
				}
				if at != [maillog.NumDoors]bool{banned[i], banned[i]} {
					t.Fatalf("seed %d step %d: %s is banned at %v, want %v", seed, step, a, at, banned[i])
				}
			}
		}
	}
}

func TestHoldAll(t *testing.T) {
	e := operate(t)
	e.reject(t0+1, "203.0.113.5", 5)
	e.Tick(t0 + 1 + 3600)
	e.want(t, "after the first ban") // and on parole
	e.Hold(true, false)
	if out := e.reject(t0+3700, "203.0.113.5", 1); out.Verdict != Scored {
		t.Errorf("verdict %d, want scored", out.Verdict)
	}
	e.reject(t0+3700, "203.0.113.6", 20)
	e.want(t, "while nobody is banned")
	if _, err := e.Ban(netip.MustParsePrefix("203.0.113.9/32"), ban.Forever, ""); err != nil {
		t.Error(err)
	}
	e.want(t, "by hand", "smtp 203.0.113.9/32")
	e.Hold(false, false)
	if out := e.reject(t0+3701, "203.0.113.5", 1); !out.Fired {
		t.Error("the member on parole was not banned again")
	}
	e.want(t, "afterwards", "smtp 203.0.113.5/32", "smtp 203.0.113.9/32")
}

func TestHoldWide(t *testing.T) {
	hosts := []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}
	apart := []string{"smtp 203.0.113.1/32", "smtp 203.0.113.2/32", "smtp 203.0.113.3/32"}
	e := operate(t)
	e.Hold(false, true)
	for _, h := range hosts {
		e.reject(t0+1, h, 5)
	}
	e.want(t, "while nothing wide is banned", apart...)
	e.Hold(false, false)
	e.reject(t0+2, "203.0.113.4", 5)
	e.want(t, "afterwards", "smtp 203.0.113.0/24")

	// A wide unit on parole comes back as its members.
	e = operate(t)
	for _, h := range hosts {
		e.reject(t0+1, h, 5)
	}
	e.want(t, "at first", "smtp 203.0.113.0/24")
	e.Tick(t0 + 1 + 3600)
	e.want(t, "after its end")
	e.Hold(false, true)
	e.reject(t0+3700, hosts[1], 1)
	e.want(t, "revived", apart...)
}

// TestLive holds that no line moves the clock, or counts, later than two
// seconds after the wall clock.
func TestLive(t *testing.T) {
	e := operate(t)
	e.Live(t0 + 10)
	for _, x := range []struct{ at, want int64 }{
		{t0 + 12, t0 + 12}, {t0 + 13, t0 + 12}, {t0 + 3600, t0 + 12}, {t0 + 400*86400, t0 + 12}, {t0 + 5, t0 + 5},
	} {
		if out := e.reject(x.at, "203.0.113.5", 1); out.At != x.want || e.Now() != t0+12 {
			t.Errorf("a line of %+d counts at %+d, the clock is at %+d", x.at-t0, out.At-t0, e.Now()-t0)
		}
	}
	// The first line too.
	f := &operated{Engine: newEngine(t)}
	f.Live(t0)
	if out := f.reject(t0+86400, "203.0.113.5", 1); out.At != t0+2 || f.Now() != t0+2 {
		t.Errorf("the first line counts at %+d", out.At-t0)
	}
	// A night without lines is believed at once.
	f.Live(t0 + 8*3600)
	if out := f.reject(t0+8*3600, "203.0.113.5", 1); out.At != t0+8*3600 || out.Verdict != Scored {
		t.Errorf("after a night: at %+d, verdict %d", out.At-t0, out.Verdict)
	}
}

func TestStart(t *testing.T) {
	e := &operated{Engine: newEngine(t)}
	e.Tick(t0)
	if e.Now() != 0 {
		t.Errorf("a tick started the clock: %d", e.Now())
	}
	e.Start(t0)
	e.Start(t0 + 100)
	if e.Now() != t0 {
		t.Errorf("the clock is at %+d", e.Now()-t0)
	}
	e.reject(t0+5, "203.0.113.5", 1)
	if e.Start(t0); e.Now() != t0+5 {
		t.Errorf("the clock is at %+d after a line", e.Now()-t0)
	}
}

func TestAdopt(t *testing.T) {
	e := operate(t, "198.51.100.0/24")
	adopt := func(p string, d maillog.Door) bool {
		return e.Adopt(ban.Entry{Prefix: netip.MustParsePrefix(p), Door: d}, t0+60, "found")
	}
	if !adopt("203.0.113.0/24", maillog.Login) || adopt("198.51.100.7/32", maillog.SMTP) {
		t.Error("adopted is not what may be")
	}
	e.want(t, "adopted", "login 203.0.113.0/24")
	if b := e.Running(netip.MustParsePrefix("203.0.113.0/24"), maillog.Login); b == nil || !b.Pinned || b.Because != "found" || b.Until != t0+60 {
		t.Errorf("adopted: %+v", b)
	}
}

// TestKnock holds that a knock in the last quarter of the term renews a ban,
// and one before does not.
func TestKnock(t *testing.T) {
	p := netip.MustParsePrefix("203.0.113.5/32")
	for _, x := range []struct {
		at   int64 // 3,600 s from t0+1: the last quarter begins at t0+2701
		want []string
	}{{t0 + 2700, nil}, {t0 + 2701, []string{"smtp 203.0.113.5/32"}}} {
		e := operate(t)
		e.reject(t0+1, "203.0.113.5", 5)
		if b := e.Running(p, maillog.SMTP); b == nil || e.LastQuarter(b) != t0+2701 {
			t.Fatalf("ban %+v", b)
		}
		e.Tick(t0 + 3000)
		e.Knock(p, maillog.SMTP, x.at, 1)
		e.Knock(netip.MustParsePrefix("203.0.113.6/32"), maillog.SMTP, x.at, 1) // not banned
		e.Tick(t0 + 3601)
		e.want(t, fmt.Sprintf("knocked at %+d", x.at-t0), x.want...)
		e.Tick(t0 + 7201)
		e.want(t, "nobody knocked any more")
	}
}

func TestManualBansInState(t *testing.T) {
	e := operate(t, "203.0.113.64/26")
	for _, p := range []string{"198.51.100.9/32", "203.0.113.5/32", "203.0.113.0/24", "2001:db8::/48"} {
		if _, err := e.Ban(netip.MustParsePrefix(p), t0+500, "words for "+p); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"smtp 198.51.100.9/32", "smtp 203.0.113.0/26", "smtp 203.0.113.128/25", "smtp 2001:db8::/48",
		"login 203.0.113.0/26", "login 203.0.113.128/25", "login 2001:db8::/48",
	}
	e.want(t, "before", want...)
	e.Flush()
	var state bytes.Buffer
	if err := e.Encode(&state); err != nil {
		t.Fatal(err)
	}
	again := &operated{Engine: newEngine(t, "203.0.113.64/26")}
	if err := again.Restore(&state); err != nil {
		t.Fatal(err)
	}
	again.want(t, "restored", want...)
	if c := again.Flush(); !c.Empty() {
		t.Errorf("the firewall is told again: %+v", c)
	}
	if h := again.Hidden(); len(h) != 1 || h[0].Prefix.String() != "203.0.113.5/32" || h[0].Because != "words for 203.0.113.5/32" {
		t.Errorf("hidden %+v", h)
	}
	again.Unban(netip.MustParsePrefix("203.0.113.0/26"))
	again.want(t, "unbanned", "smtp 198.51.100.9/32", "smtp 203.0.113.128/25", "smtp 2001:db8::/48", "login 203.0.113.128/25", "login 2001:db8::/48")
	again.Tick(t0 + 500)
	again.want(t, "after their end")
}
