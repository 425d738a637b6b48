package rule

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// twin is the slow and obvious way: every condition of every rule is asked.
type twin struct {
	specs   []Spec
	windows []string
	seen    map[*maillog.Session]map[string]bool
}

func (w *twin) match(ev *maillog.Event, ses *maillog.Session) (names [maillog.NumDoors][]string, weights [maillog.NumDoors]map[string]int) {
	for _, s := range w.specs {
		if !twinWhen(s.When, ev) {
			continue
		}
		if s.Per == "session" && ses != nil {
			if w.seen[ses] == nil {
				w.seen[ses] = map[string]bool{}
			}
			if w.seen[ses][s.Name] {
				continue
			}
			w.seen[ses][s.Name] = true
		}
		d := ev.Door()
		if s.Door != "" {
			d, _ = maillog.ParseDoor(s.Door)
		}
		names[d] = append(names[d], s.Name)
		if weights[d] == nil {
			weights[d] = map[string]int{}
		}
		windows := s.Windows
		if windows == nil {
			windows = w.windows
		}
		for _, x := range windows {
			weights[d][x] = max(weights[d][x], s.Weight)
		}
	}
	return names, weights
}

func twinWhen(when []Cond, ev *maillog.Event) bool {
	for _, c := range when {
		if !slices.ContainsFunc(c.Values, func(v string) bool { return twinCond(c.Field, v, ev) }) {
			return false
		}
	}
	return true
}

func twinCond(field, v string, ev *maillog.Event) bool {
	glob := func(b []byte) bool {
		re := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(v))
		return b != nil && regexp.MustCompile(`(?is)^(?:`+re+`)$`).Match(b)
	}
	within := func(n int) bool {
		lo, hi, ok := strings.Cut(v, "-")
		a, _ := strconv.Atoi(lo)
		b := a
		if ok {
			if b, _ = strconv.Atoi(hi); hi == "" {
				b = 1 << 30
			}
		}
		return a <= n && n <= b
	}
	switch field {
	case "kind":
		return ev.Kind.String() == v
	case "stage":
		return ev.Stage.String() == v
	case "reason":
		return ev.Reason.String() == v
	case "door":
		return ev.Door().String() == v
	case "client":
		return netip.MustParsePrefix(v).Contains(ev.Client)
	case "code":
		return within(int(ev.Code))
	case "port":
		return within(int(ev.Port))
	case "auth_failed":
		return within(int(ev.AuthFailed))
	case "unknown_commands":
		return within(int(ev.Commands.Unknown.Total) - int(ev.Commands.Unknown.OK))
	case "sender":
		return glob(ev.Text(maillog.Sender))
	case "recipient":
		return glob(ev.Text(maillog.Recipient))
	case "helo":
		return glob(ev.Text(maillog.Helo))
	case "dsn":
		return glob(ev.Text(maillog.DSN))
	case "sasl_user":
		return glob(ev.Text(maillog.SASLUser))
	case "client_name":
		return glob(ev.Text(maillog.ClientName))
	}
	panic(field)
}

var words = []string{"a", "ab", "abc", "b.example", "a@b.example", "x@a.b.example", "A@B.example", "mail", "mail.a.example", "", "ylmf-pc", "dyn-1-2.pool.example"}

func randomText(r *rand.Rand) []byte {
	if r.IntN(6) == 0 {
		return nil
	}
	return []byte(words[r.IntN(len(words))])
}

func randomGlob(r *rand.Rand) string {
	w := words[r.IntN(len(words))]
	cut := r.IntN(len(w) + 1)
	switch r.IntN(8) {
	case 0:
		return "?*"
	case 1:
		return "*" + w[cut:]
	case 2:
		return w[:cut] + "*"
	case 3:
		return "*" + w + "*"
	case 4:
		return w[:cut] + "*" + w[cut:]
	case 5:
		return w[:cut] + "?" + w[min(cut+1, len(w)):]
	}
	return w
}

func pick(r *rand.Rand, from ...string) []string {
	r.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
	return from[:1+r.IntN(len(from))]
}

func randomSpec(r *rand.Rand, i int) Spec {
	s := Spec{Name: fmt.Sprintf("r%d", i), Weight: 1 + r.IntN(5)}
	s.When = append(s.When, Cond{Field: "kind", Values: pick(r, "smtpd.reject", "smtpd.disconnect", "smtpd.sasl_fail")})
	add := func(chance int, field string, values func() []string) {
		if r.IntN(chance) == 0 {
			s.When = append(s.When, Cond{Field: field, Values: values()})
		}
	}
	globs := func() []string {
		out := []string{randomGlob(r)}
		for r.IntN(3) == 0 {
			out = append(out, randomGlob(r))
		}
		return out
	}
	add(4, "stage", func() []string { return pick(r, "RCPT", "MAIL", "DATA") })
	add(3, "reason", func() []string { return pick(r, "rcpt_unknown", "relay_denied", "rbl") })
	add(8, "door", func() []string { return pick(r, "smtp", "login") })
	add(5, "code", func() []string { return pick(r, "450", "500-599", "400-", "550") })
	add(9, "port", func() []string { return pick(r, "25", "1024-2048") })
	add(6, "auth_failed", func() []string { return pick(r, "1", "2-", "3-5") })
	add(9, "unknown_commands", func() []string { return pick(r, "1-", "3-9") })
	add(4, "client", func() []string {
		return pick(r, "192.0.2.0/24", "192.0.2.0/28", "192.0.2.3/32", "0.0.0.0/0", "2001:db8::/32")
	})
	for _, f := range []string{"sender", "recipient", "helo", "dsn", "sasl_user", "client_name"} {
		add(6, f, globs)
	}
	if r.IntN(4) == 0 {
		s.Per = "session"
	}
	if r.IntN(3) == 0 {
		s.Windows = pick(r, "burst", "day", "spray")
	}
	if r.IntN(4) == 0 {
		s.Door = pick(r, "smtp", "login")[0]
	}
	return s
}

func randomEvent(r *rand.Rand) *maillog.Event {
	addrs := []string{"192.0.2.3", "192.0.2.9", "192.0.2.77", "198.51.100.1", "2001:db8::1", "2001:db9::1"}
	tags := []string{"postfix/smtpd", "postfix/submission/smtpd"}
	services := []string{"smtp", "submission"}
	i := r.IntN(2)
	ev := texts{maillog.Tag: tags[i], maillog.Service: services[i]}.in(maillog.Event{
		Kind:       []maillog.Kind{maillog.SMTPDReject, maillog.SMTPDDisconnect, maillog.SMTPDSASLFail, maillog.SMTPDConnect}[r.IntN(4)],
		Client:     netip.MustParseAddr(addrs[r.IntN(len(addrs))]),
		Stage:      []maillog.Stage{maillog.NoStage, maillog.StageRcpt, maillog.StageMail, maillog.StageQuit}[r.IntN(4)],
		Reason:     []maillog.Reason{maillog.NoReason, maillog.RcptUnknown, maillog.RelayDenied, maillog.Size}[r.IntN(4)],
		Code:       []uint16{0, 450, 550, 554}[r.IntN(4)],
		Port:       []uint16{0, 25, 1500}[r.IntN(3)],
		AuthFailed: uint32(r.IntN(5)),
		Commands:   maillog.Commands{Unknown: maillog.Tally{OK: 0, Total: uint16(r.IntN(5))}},
	})
	for _, t := range []maillog.Text{maillog.Sender, maillog.Recipient, maillog.Helo, maillog.DSN, maillog.SASLUser, maillog.ClientName} {
		ev.SetText(t, randomText(r))
	}
	return ev
}

// glanceSpec asks for nothing but what is answered at a glance.
func glanceSpec(r *rand.Rand, i int) Spec {
	s := Spec{Name: fmt.Sprintf("r%d", i), Weight: 1 + r.IntN(5)}
	s.When = append(s.When, Cond{Field: "kind", Values: pick(r, "smtpd.reject", "smtpd.disconnect")})
	add := func(chance int, field string, values ...string) {
		if r.IntN(chance) == 0 {
			s.When = append(s.When, Cond{Field: field, Values: pick(r, values...)})
		}
	}
	add(2, "reason", "rcpt_unknown", "relay_denied")
	add(4, "door", "smtp")
	add(3, "sender", "", "?*")
	add(4, "helo", "?*")
	add(3, "code", "450", "500-599")
	add(4, "auth_failed", "2-")
	add(4, "unknown_commands", "3-")
	if r.IntN(12) == 0 {
		s.Per = "session"
	}
	return s
}

// The decision table finds just what asking every rule finds.
func TestMatchIsAsAskingEveryRule(t *testing.T) {
	twins(t, 60, 40, 5000, randomSpec)
}

// So it does where answers are remembered.
func TestAskedIsAsAskingEveryRule(t *testing.T) {
	known := 0
	for _, set := range twins(t, 300, 4, 10000, glanceSpec) {
		for _, k := range set.kinds {
			if k == nil {
				continue
			}
			for i := range k.cells {
				if a := k.cells[i].asked; a != nil {
					known += bits.OnesCount16(a.known)
				}
			}
		}
	}
	if known < 1000 {
		t.Errorf("only %d answers are remembered: the test asks for too little", known)
	}
}

// So it does where all rules of a kind ask for numbers, and most events have none.
func TestNumbersAlone(t *testing.T) {
	asked := 0
	for _, set := range twins(t, 300, 3, 2000, func(r *rand.Rand, i int) Spec {
		s := Spec{Name: fmt.Sprintf("r%d", i), Weight: 1 + r.IntN(5)}
		s.When = append(s.When, Cond{Field: "kind", Values: pick(r, "smtpd.disconnect")})
		for _, c := range []Cond{
			{Field: "code", Values: []string{"450"}}, {Field: "auth_failed", Values: []string{"2-"}},
			{Field: "unknown_commands", Values: []string{"1-"}}, {Field: "port", Values: []string{"1-1023"}}, {Field: "door", Values: []string{"smtp"}},
		} {
			if r.IntN(3) == 0 {
				s.When = append(s.When, c)
			}
		}
		return s
	}) {
		if set.kinds[maillog.SMTPDDisconnect].numbers != 0 && !set.Asks(&maillog.Event{Kind: maillog.SMTPDDisconnect}) {
			asked++
		}
	}
	if asked < 50 {
		t.Errorf("only %d sets ask for numbers alone", asked)
	}
}

// twins compares sets of random rules with their twins.
func twins(t *testing.T, seeds uint64, most, least int, random func(*rand.Rand, int) Spec) (sets []*Set) {
	windows := []string{"burst", "day", "spray"}
	hits := 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		var specs []Spec
		for i := range 1 + r.IntN(most) {
			specs = append(specs, random(r, i))
		}
		set, err := Compile(specs, windows)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
		slow := &twin{specs: specs, windows: windows, seen: map[*maillog.Session]map[string]bool{}}
		sessions := []*maillog.Session{nil, {}, {}}
		for range 200 {
			ev, ses := randomEvent(r), sessions[r.IntN(len(sessions))]
			var got Hits
			if set.Asks(ev) { // as the engine does
				got = set.Match(ev, ses)
			}
			names, weights := slow.match(ev, ses)
			for d := range got {
				var gotNames []string
				gotWeights := map[string]int{}
				if got[d] != nil {
					for _, x := range got[d].Rules {
						gotNames = append(gotNames, x.Name)
					}
					for _, x := range got[d].Weights {
						gotWeights[windows[x.Window]] = x.Weight
					}
					hits++
				}
				if !slices.Equal(gotNames, names[d]) {
					t.Fatalf("seed %d, door %d: rules %v, want %v for %+v", seed, d, gotNames, names[d], ev)
				}
				if len(gotWeights) != len(weights[d]) {
					t.Fatalf("seed %d: weights %v, want %v", seed, gotWeights, weights[d])
				}
				for w, n := range weights[d] {
					if gotWeights[w] != n {
						t.Fatalf("seed %d: weights %v, want %v", seed, gotWeights, weights[d])
					}
				}
			}
		}
	}
	if hits < least {
		t.Errorf("only %d hits: the test asks for too little", hits)
	}
	return sets
}
