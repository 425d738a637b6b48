package maillog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/wire"
)

func TestJoinerCorpus(t *testing.T) {
	file, seq, mark := "", uint64(0), int64(0)
	var j *Joiner
	for _, c := range readCorpus(t, "joiner/*.log") {
		if c.file != file {
			file, seq, mark = c.file, 0, 0
			at, err := time.Parse(time.RFC3339, c.directives["reference"])
			if err != nil {
				t.Fatal(err)
			}
			zone, err := time.LoadLocation(c.directives["zone"])
			if err != nil {
				t.Fatal(err)
			}
			j = NewJoiner()
			j.Source(1, SourceOptions{Location: zone, Reference: at.Unix()})
		}
		seq++
		var ev Event
		if Parse(c.text, &ev) {
			j.Join(1, seq, mark, &ev)
			if ev.Kind != KindNone {
				mark = max(mark, ev.Time)
			}
		}
		if c.kind != "" {
			check(t, &c, &ev)
		}
	}
}

func parsed(t testing.TB, line string) *Event {
	t.Helper()
	var ev Event
	if !Parse([]byte(line), &ev) {
		t.Fatalf("no event: %s", line)
	}
	return &ev
}

func TestSessionMarks(t *testing.T) {
	j := NewJoiner()
	join := func(line string) *Session {
		t.Helper()
		return j.Join(1, 0, 1795392000, parsed(t, line))
	}
	const smtpd = "Nov 23 08:00:00 mx1 postfix/smtpd[1]: "
	// The line about the PTR stands in front of its session's connect.
	if s := join(smtpd + "warning: hostname a.example does not resolve to address 192.0.2.7"); !s.Mark(3) {
		t.Error("a new session is marked")
	}
	s := join(smtpd + "connect from unknown[192.0.2.7]")
	if s.Mark(3) || !s.Mark(255) || s.Mark(255) || !s.Mark(0) || s.Mark(256) {
		t.Error("marks of one session are lost or mixed up")
	}
	if s := join(smtpd + "disconnect from unknown[192.0.2.7]"); s.Mark(3) {
		t.Error("the disconnect is no part of its session")
	}
	if s := join(smtpd + "connect from unknown[192.0.2.7]"); !s.Mark(3) {
		t.Error("the next session has the marks of the last")
	}
	if s := join(smtpd + "connect from unknown[192.0.2.7]"); !s.Mark(3) {
		t.Error("a connect opens no new session")
	}
	const screen = "Nov 23 08:00:00 mx1 postfix/postscreen[2]: "
	join(screen + "CONNECT from [192.0.2.7]:1000 to [192.0.2.25]:25").Mark(3)
	if s := join(screen + "PREGREET 9 after 0 from [192.0.2.7]:1000: x"); s.Mark(3) {
		t.Error("address and port do not name a session of postscreen")
	}
	if s := join(screen + "PREGREET 9 after 0 from [192.0.2.7]:1001: x"); !s.Mark(3) {
		t.Error("another port is the same session")
	}
	join(screen + "DISCONNECT [192.0.2.7]:1000")
	if s := join(screen + "HANGUP after 0 from [192.0.2.7]:1000 in tests after SMTP handshake"); !s.Mark(3) {
		t.Error("a session of postscreen goes on after its disconnect")
	}
	if s := join("Nov 23 08:00:00 mx1 dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25"); s != nil {
		t.Error("a login line of Dovecot has a session")
	}
}

// TestClockAgainstTime holds the clock against time.Date and a plain search
// for the nearest year.
func TestClockAgainstTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := clockFace{location: zone}
		now := time.Date(2019, 6, 1, 0, 0, 0, 0, zone).Unix()
		for range 20000 {
			now += rng.Int64N(3 * 86400)
			at := now - rng.Int64N(120)
			l := time.Unix(at, 0).In(zone)
			s := Stamp{Month: uint8(l.Month()), Day: uint8(l.Day()), Second: int32(l.Hour()*3600 + l.Minute()*60 + l.Second()), Offset: NoOffset}
			if got := c.unix(s, now); got != at {
				// An hour that occurs twice may be read as the nearer one.
				g := time.Unix(got, 0).In(zone)
				if g.Format(time.DateTime) != l.Format(time.DateTime) || max(got-now, now-got) > now-at {
					t.Fatalf("%s: %v near %v: got %v", name, l, time.Unix(now, 0).In(zone), g)
				}
			}
			s.Year = int16(l.Year())
			if g := time.Unix(c.unix(s, now), 0).In(zone); g.Format(time.DateTime) != l.Format(time.DateTime) {
				t.Fatalf("%s: %v with year: got %v", name, l, g)
			}
			_, o := l.Zone()
			s.Offset = int32(o)
			if got := c.unix(s, 0); got != at {
				t.Fatalf("%s: %v with zone: got %d, want %d", name, l, got, at)
			}
		}
	}
}

func TestNearestYear(t *testing.T) {
	unix := func(s string) int64 {
		at, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return at.Unix()
	}
	for _, c := range []struct {
		month, day uint8
		near, want string
	}{
		{12, 31, "2026-01-01 00:10:00", "2025-12-31 00:00:00"},
		{1, 1, "2025-12-31 23:00:00", "2026-01-01 00:00:00"},
		{6, 1, "2026-01-01 00:00:00", "2026-06-01 00:00:00"},
		{8, 1, "2026-01-01 00:00:00", "2025-08-01 00:00:00"},
		{2, 29, "2025-01-01 00:00:00", "2024-02-29 00:00:00"},
		{2, 29, "2027-01-01 00:00:00", "2028-02-29 00:00:00"},
		{2, 29, "2098-01-01 00:00:00", "2096-02-29 00:00:00"},
		{2, 29, "2101-01-01 00:00:00", "2104-02-29 00:00:00"},
	} {
		var k clockFace
		if got := k.unix(Stamp{Month: c.month, Day: c.day, Offset: NoOffset}, unix(c.near)); got != unix(c.want) {
			t.Errorf("%d-%d near %s: got %v, want %s", c.month, c.day, c.near, time.Unix(got, 0).UTC(), c.want)
		}
	}
}

// TestTimesAreBounded: a stamp outside of 1970 to 2106 counts at their ends, and
// one without a year is never read as of before.
func TestTimesAreBounded(t *testing.T) {
	for _, c := range []struct {
		stamp string
		near  int64
		want  int64
	}{
		{"9999-12-31T23:59:59-12:00", 0, 1<<32 - 1},
		{"2106-02-07T06:28:15Z", 0, 1<<32 - 1},
		{"2106-02-07T06:28:14Z", 0, 1<<32 - 2},
		{"1970-01-01T00:00:02Z", 0, 2},
		{"1970-01-01T00:00:00Z", 0, 1},
		{"0001-01-01T00:00:00+15:00", 0, 1},
		{"Jul 12 08:00:00", 0, 192*86400 + 8*3600},
		{"Feb 29 00:00:00", 0, (2*365 + 31 + 28) * 86400},
		{"Dec 31 23:59:59", 0, 365*86400 - 1},
	} {
		line := []byte(c.stamp + " mx1 postfix/smtpd[1]: connect from a.example[192.0.2.1]")
		if at, ok := When(line, SourceOptions{Reference: c.near}); !ok || at != c.want {
			t.Errorf("%s: When: %d, %v, want %d", c.stamp, at, ok, c.want)
		}
		j := NewJoiner()
		j.Source(0, SourceOptions{Reference: c.near})
		var ev Event
		Parse(line, &ev)
		if j.Join(0, 1, 0, &ev); ev.Time != c.want {
			t.Errorf("%s: Join: %d, want %d", c.stamp, ev.Time, c.want)
		}
	}
}

func TestCivilAgainstTime(t *testing.T) {
	for d := int64(-40000); d < 80000; d++ {
		at := time.Unix(d*86400, 0).UTC()
		if y, m, dd := civil(d); y != at.Year() || m != int(at.Month()) || dd != at.Day() || days(y, m, dd) != d {
			t.Fatalf("day %d: %d-%d-%d, want %v", d, y, m, dd, at)
		}
	}
}

// randomLines makes lines of few hosts, processes, clients and queue IDs, so
// that they meet.
func randomLines(rng *rand.Rand, n int) []string {
	pick := func(s ...string) string { return s[rng.IntN(len(s))] }
	at := time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)
	var lines []string
	for range n {
		at = at.Add(time.Duration(rng.IntN(120)) * time.Second)
		client := fmt.Sprintf("192.0.2.%d", rng.IntN(3))
		who := "unknown[" + client + "]"
		qid := fmt.Sprintf("AAAAA%d", rng.IntN(4))
		stamp := at.Format(time.Stamp) + " " + pick("mx1", "mx1", "mx2") + " "
		smtpd := fmt.Sprintf("postfix/smtpd[%d]: ", 1+rng.IntN(3))
		lines = append(lines, stamp+pick(
			smtpd+"connect from "+who,
			smtpd+"warning: hostname a.example does not resolve to address "+client,
			smtpd+"disconnect from "+who+pick("", " mail=1 data=1 commands=2", " auth=0/3 commands=0/3", " auth=1 mail=2 data=2 commands=5"),
			smtpd+"warning: "+who+": SASL LOGIN authentication failed: x",
			smtpd+qid+": client="+who+pick("", ", sasl_method=PLAIN, sasl_username=a"),
			smtpd+qid+": reject: END-OF-MESSAGE from "+who+": 550 5.7.1 no; proto=SMTP",
			"postfix/cleanup[9]: "+qid+": milter-reject: END-OF-MESSAGE from "+who+": 5.7.1 no; proto=SMTP",
			"postfix/cleanup[9]: "+qid+": reject: header x from unknown[203.0.113.9]; proto=SMTP",
			"postfix/qmgr[8]: "+qid+": from=<a@example.com>, size=1, nrcpt=1 (queue active)",
			"postfix/postscreen[7]: PREGREET 9 after 0 from ["+client+"]:1000: x",
			"postfix/postscreen[7]: DISCONNECT ["+client+"]:1000",
			"last message repeated 2 times",
			"cron[3]: x",
		))
	}
	return lines
}

// outcome is what a Joiner made of a line, for comparing.
func outcome(j *Joiner, seq uint64, mark *int64, line string) string {
	var ev Event
	if !Parse([]byte(line), &ev) {
		return ""
	}
	s := j.Join(1, seq, *mark, &ev)
	*mark = max(*mark, ev.Time)
	fresh := false
	if s != nil {
		fresh = s.Mark(int(seq % 5))
	}
	return fmt.Sprintf("%v %v %d x%d failed=%d messages=%d logins=%d session=%t mark=%t", ev.Kind, ev.Client, ev.Time,
		ev.Count, ev.AuthFailed, ev.Messages, ev.Logins, s != nil, fresh)
}

func TestStateIsExact(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		a := NewJoiner()
		a.Source(1, SourceOptions{Reference: 1798754400})
		b := restarted(t, a)
		var markA, markB int64
		for i, line := range randomLines(rng, 1500) {
			if rng.IntN(100) == 0 { // b restarts
				b = restarted(t, b)
			}
			want, got := outcome(a, uint64(i), &markA, line), outcome(b, uint64(i), &markB, line)
			if got != want {
				t.Fatalf("seed %d, line %d: %s\n got %s\nwant %s", seed, i, line, got, want)
			}
		}
		if !reflect.DeepEqual(a.State(), b.State()) {
			t.Fatalf("seed %d: states differ", seed)
		}
	}
}

// restarted is what a program finds that wrote the state down and read it.
func restarted(t testing.TB, j *Joiner) *Joiner {
	t.Helper()
	encode := func(j *Joiner) []byte {
		var b bytes.Buffer
		w := wire.NewWriter(&b)
		j.Encode(w)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	was := encode(j)
	if !bytes.Equal(was, encode(j)) {
		t.Fatal("the state is not deterministic")
	}
	n := NewJoiner()
	n.Source(1, SourceOptions{Reference: 1798754400})
	r := wire.NewReader(bytes.NewReader(was))
	if err := n.Decode(r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(was, encode(n)) {
		t.Fatal("the state read back is another")
	}
	return n
}

func TestRestoreRefusesNonsense(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.1")
	session := func(k uint64, a netip.Addr, serial uint64) SessionState {
		return SessionState{Key: key{k, 1}, Session: Session{Client: a, Serial: serial}}
	}
	for name, st := range map[string]JoinerState{
		"two sessions of one key": {Serial: 9, Sessions: []SessionState{session(1, client, 1), session(1, client, 2)}},
		"session from the future": {Serial: 1, Sessions: []SessionState{session(1, client, 2)}},
		"session without number":  {Serial: 1, Screens: []SessionState{session(1, client, 0)}},
		"mapped client":           {Serial: 1, Sessions: []SessionState{session(1, netip.MustParseAddr("::ffff:192.0.2.1"), 1)}},
		"client with zone":        {Serial: 1, Screens: []SessionState{session(1, netip.MustParseAddr("fe80::1%x"), 1)}},
		"message of nobody":       {Serial: 1, Messages: []MessageState{{Serial: 1}}},
		"two queue IDs":           {Serial: 1, Messages: []MessageState{{Client: client, Serial: 1}, {Client: client, Serial: 1}}},
		"two hosts":               {Hosts: []HostState{{}, {}}},
		"too many hosts":          {Hosts: manyHosts(maxHosts + 1)},
		"unsorted sources":        {Sources: []SourceState{{ID: 2}, {ID: 1}}},
		"endless line":            {Sources: []SourceState{{Message: make([]byte, maxLastBytes+1)}}},
	} {
		j := NewJoiner()
		j.Join(1, 1, 1795392000, parsed(t, "Nov 23 08:00:00 mx1 postfix/smtpd[1]: connect from unknown[192.0.2.7]"))
		before := j.State()
		if err := j.Restore(st); err == nil {
			t.Errorf("%s: no error", name)
		}
		if !reflect.DeepEqual(before, j.State()) {
			t.Errorf("%s: the joiner is not as before", name)
		}
	}
	if err := NewJoiner().Restore(JoinerState{Hosts: manyHosts(maxHosts)}); err != nil {
		t.Error(err)
	}
}

func manyHosts(n int) []HostState {
	var out []HostState
	for i := range n {
		out = append(out, HostState{Key: key{uint64(i), 0}})
	}
	return out
}

// TestTableAgainstSlice holds the bounded table against a slice in order of age.
func TestTableAgainstSlice(t *testing.T) {
	type pair struct {
		k key
		v int
	}
	rng := rand.New(rand.NewPCG(3, 4))
	tab := newTable[int](50)
	var twin []pair // oldest first
	evicted := uint64(0)
	find := func(k key) int {
		for i, p := range twin {
			if p.k == k {
				return i
			}
		}
		return -1
	}
	for step := range 200000 {
		k := key{uint64(rng.IntN(120)) << 3, 7} // shared low bits: long probes
		i := find(k)
		switch rng.IntN(6) {
		case 5:
			if _, e := tab.find(k); e != 0 {
				tab.renew(e)
			}
			if i >= 0 {
				p := twin[i]
				twin = append(append(twin[:i], twin[i+1:]...), p)
			}
		case 0:
			tab.remove(k)
			if i >= 0 {
				twin = append(twin[:i], twin[i+1:]...)
			}
		case 1, 2:
			v := tab.get(k)
			if (v == nil) != (i < 0) || v != nil && *v != twin[i].v {
				t.Fatalf("step %d: get differs", step)
			}
		default:
			*tab.put(k) = step
			if i >= 0 {
				twin[i].v = step
				break
			}
			if len(twin) == 50 {
				twin = twin[1:]
				evicted++
			}
			twin = append(twin, pair{k, step})
		}
		if tab.len != len(twin) || tab.evicted != evicted {
			t.Fatalf("step %d: %d entries, %d evicted; want %d, %d", step, tab.len, tab.evicted, len(twin), evicted)
		}
		if step%100 == 0 {
			n := 0
			tab.each(func(k key, v *int) {
				if n >= len(twin) || twin[n].k != k || twin[n].v != *v {
					t.Fatalf("step %d: entry %d differs", step, n)
				}
				n++
			})
		}
	}
	if n := len(tab.entries) - 1; n > 50 {
		t.Errorf("%d entries for 50", n)
	}
}

// TestMixByWords holds mix against its definition: the length, all whole words
// of eight bytes, and what is left.
func TestMixByWords(t *testing.T) {
	text := []byte("a host, a tag or a queue ID of any length at all")
	for n := range len(text) + 1 {
		got, want := key{}.mix(text[:n]), key{}.mixUint(uint64(n))
		word := uint64(0)
		for i, c := range text[:n] {
			word |= uint64(c) << (8 * (i % 8))
			if i%8 == 7 {
				want = want.mixUint(word)
				word = 0
			}
		}
		want = want.mixUint(word)
		if got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
	// Of the first version that had keys in its state: they are saved.
	if got, want := (key{3, 1}).mix([]byte("postfix/submission/smtpd")), (key{0x49252d2a32e19b81, 0xd7610e77fac6465d}); got != want {
		t.Errorf("key %x, want %x", got, want)
	}
}

// Lines that a Parser reads by itself find their origin by the length of the
// tag alone.
func TestTagsHavePlaces(t *testing.T) {
	var o sourceState
	tags := []int{ofSmtpd.tag, ofSubmission.tag, ofPostscreen.tag, ofCleanup.tag, ofQmgr.tag, len("dovecot")}
	for i, a := range tags {
		for _, b := range tags[:i] {
			if n := len(o.names); a%n == b%n {
				t.Errorf("tags of %d and %d bytes have one place", a, b)
			}
		}
	}
}

func TestJoinerIsBounded(t *testing.T) {
	j := NewJoiner()
	ev := parsed(t, "Nov 23 08:00:00 mx1 postfix/smtpd[1]: AAAAAA1: client=unknown[192.0.2.7]")
	for i := range 2 * maxSessions {
		e := *ev
		e.PID = uint32(i + 1)
		e.SetText(QueueID, fmt.Appendf(nil, "AA%07X", i))
		j.Join(1, uint64(i), 1795392000, &e)
	}
	if st := j.State(); len(st.Sessions) != maxSessions || len(st.Messages) != maxQueueIDs || j.Evicted() != maxSessions+maxQueueIDs {
		t.Errorf("%d sessions, %d queue IDs, %d evicted", len(st.Sessions), len(st.Messages), j.Evicted())
	}
	e := *ev
	i := uint64(9 * maxSessions)
	if n := testing.AllocsPerRun(1000, func() {
		i++
		e.PID, e.Client = uint32(i), ev.Client
		j.Join(1, i, 1795392000, &e)
	}); n != 0 {
		t.Errorf("%v allocations an event in steady state", n)
	}
}

// TestScreensEnd has clients leave postscreen in all ways; only those whose
// next line may come from postscreen again are kept.
func TestScreensEnd(t *testing.T) {
	for _, x := range []struct {
		last string
		left int
	}{
		{"PASS OLD [192.0.2.9]:4711", 0},
		{"ALLOWLISTED [192.0.2.9]:4711", 0},
		{"DISCONNECT [192.0.2.9]:4711", 0},
		{"PASS NEW [192.0.2.9]:4711", 1}, // DISCONNECT follows deep tests
	} {
		j := NewJoiner()
		for i, m := range []string{"CONNECT from [192.0.2.9]:4711 to [198.51.100.1]:25", x.last} {
			ev := parsed(t, "Nov  5 08:46:49 mx postfix/postscreen[77]: "+m)
			if s := j.Join(0, uint64(i+1), 0, ev); s == nil || s.Client != ev.Client {
				t.Fatalf("%s: session %+v of %v", m, s, ev.Client)
			}
		}
		if j.screens.len != x.left {
			t.Errorf("%s leaves %d sessions, want %d", x.last, j.screens.len, x.left)
		}
	}
}

// An activated message is forgotten, whatever Postfix it is: of a busy host
// only what is on its way in takes room.
func TestActivatedIsForgotten(t *testing.T) {
	for _, summary := range []string{"", " mail=1 data=1 quit=1 commands=3"} {
		j := NewJoiner()
		var mark int64
		messages := 0
		for i, line := range []string{
			"Nov 23 08:00:00 mx1 postfix/smtpd[1]: disconnect from unknown[192.0.2.1]" + summary,
			"Nov 23 08:00:01 mx1 postfix/smtpd[1]: AAAAA1: client=unknown[192.0.2.1]",
			"Nov 23 08:00:01 mx1 postfix/smtpd[1]: AAAAA2: client=unknown[192.0.2.1]",
			"Nov 23 08:00:02 mx1 postfix/qmgr[8]: AAAAA1: from=<a@example.com>, size=1, nrcpt=1 (queue active)",
			"Nov 23 08:10:02 mx1 postfix/qmgr[8]: AAAAA1: from=<a@example.com>, size=1, nrcpt=1 (queue active)",
		} {
			var ev Event
			if !Parse([]byte(line), &ev) {
				t.Fatal(line)
			}
			j.Join(1, uint64(i), mark, &ev)
			mark = ev.Time
			if ev.Kind == KindActive {
				messages += int(ev.Messages)
			}
		}
		want := 1 // the retry ten minutes later is the same message
		if summary != "" {
			want = 0 // the disconnect counts it
		}
		if messages != want || len(j.State().Messages) != 1 {
			t.Errorf("summary %q: %d messages counted, want %d; remembered %v, want AAAAA2 alone", summary, messages, want, j.State().Messages)
		}
	}
}
