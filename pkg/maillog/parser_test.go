package maillog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// twins parses lines with a Parser and with Parse and compares the answers.
// The lines stand in memory that is written again and again, as those of a
// file do. It returns how many were events.
func twins(t testing.TB, lines [][]byte) (events int) {
	t.Helper()
	var p Parser
	var ev Event
	var buf []byte
	j := NewJoiner()
	type begin struct {
		stamp Stamp
		host  string
	}
	heads := map[uint32]begin{}
	for n, line := range lines {
		buf = append(buf[:0], line...)
		var want Event
		ok := Parse(line, &want)
		ev.Count, ev.AuthFailed, ev.Messages, ev.Logins, ev.Time, ev.escaped = 1, 2, 3, 4, 5, true // by a Joiner, or another line
		if p.Parse(buf, &ev) != ok || ev.Kind != want.Kind {
			t.Fatalf("line %d: %q: %v, want %v", n, line, ev.Kind, want.Kind)
		}
		if !ok {
			if ev.Kind == KindNone && Split(buf, &ev) { // as for a rule with a pattern
				for _, x := range []Text{SASLUser, Helo, Sender, Recipient} {
					ev.SetText(x, []byte("x"))
				}
			}
			continue
		}
		events++
		got := ev
		if got.head != 0 {
			b := begin{got.Stamp, string(got.Text(Host))}
			if known, ok := heads[got.head]; ok && known != b || got.head != p.head {
				t.Fatalf("line %d: %q: head %d is that of %v, %v", n, line, got.head, known, b)
			}
			heads[got.head] = b
		}
		got.head = 0
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("line %d: %q:\n got %+v\nwant %+v", n, line, got, want)
		}
		for name, b := range texts(&ev) {
			if !inside(b, buf) && line[0] != '{' && !(name == Service && string(b) == "smtp") {
				t.Fatalf("line %d: %q: text %d is not inside the line", n, line, name)
			}
		}
		j.Join(1, uint64(n), 1795392000, &ev) // it writes to the event too
		j.Keep()
	}
	return events
}

// mutated are lines of all forms in random order, some with a byte changed,
// cut, or of another process, so that what a Parser remembers is nearly right
// as often as it is right.
func mutated(r *rand.Rand, lines [][]byte, n int) [][]byte {
	var out [][]byte
	for range n {
		line := bytes.Clone(lines[r.IntN(len(lines))])
		if len(out) > 0 && r.IntN(3) == 0 {
			line = bytes.Clone(out[len(out)-1])
		}
		for range r.IntN(3) {
			if len(line) == 0 {
				break
			}
			i := r.IntN(len(line))
			switch r.IntN(6) {
			case 0:
				line[i] = byte(r.Uint32())
			case 1:
				line[i] = " :[]0.;<>m\x00/"[r.IntN(12)]
			case 2:
				line = line[:i]
			case 3:
				line = append(line[:i:i], line[min(i+1, len(line)):]...)
			case 4:
				line = append(line[:i:i], append([]byte{line[i]}, line[i:]...)...)
			case 5:
				line = append(line, "\n\r x"[r.IntN(4)])
			}
		}
		out = append(out, line)
	}
	return out
}

func TestParserAgainstParse(t *testing.T) {
	var lines [][]byte
	for _, c := range corpusLines(t) {
		lines = append(lines, c.text)
	}
	if n := twins(t, lines); n < 300 {
		t.Fatalf("only %d events in the corpus", n)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		twins(t, mutated(r, lines, 3000))
	}
	// Sessions, as they follow each other: few processes and many clients.
	names := []string{"unknown", "mail.example.com", "a.b", strings.Repeat("long-name.", 6) + "example", strings.Repeat("l", 255)}
	addrs := []string{"192.0.2.1", "192.0.2.11", "198.51.100.255", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "::ffff:192.0.2.1", "192.0.2.01", "unknown"}
	forms := []string{
		"connect from %s", "disconnect from %s ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4", "disconnect from %s",
		"NOQUEUE: reject: RCPT from %s: 450 4.1.1 <a@b.example>: Recipient address rejected: User unknown in local recipient table; from=<> to=<a@b.example> proto=SMTP helo=<x>",
		"Anonymous TLS connection established from %s: TLSv1.3 with cipher x", "Anonymous TLS connection established from %s:25: TLSv1.3", "lost connection after AUTH from %s",
		"connect from %s x", "connect from %s:25", "disconnect from %s:25", "4qpP80vQD1MVtm: client=%s", "warning: %s: SASL LOGIN authentication failed: x",
		"message repeated 2 times: [ connect from %s]",
	}
	for range 30 {
		lines = lines[:0]
		for range 2000 {
			who := names[r.IntN(len(names))] + "[" + addrs[r.IntN(len(addrs))] + "]"
			lines = append(lines, fmt.Appendf(nil, "Nov %2d 08:46:%02d mx%d postfix/%ssmtpd[%d]: "+forms[r.IntN(len(forms))],
				3+r.IntN(2), r.IntN(3), r.IntN(2), []string{"", "", "submission/"}[r.IntN(3)], []int{7, 519, 7 + 512, 8}[r.IntN(4)], who))
		}
		twins(t, lines)
		twins(t, mutated(r, lines, 3000))
	}
}

// TestParserSlowPeers: clients with IPv6 addresses that come again with another
// process, many of them alike in what their place depends on.
func TestParserSlowPeers(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	var lines [][]byte
	for range 20_000 {
		name := []string{"unknown", "mx1.example.com", "mx2.example.com", "x", strings.Repeat("l", 10+r.IntN(60))}[r.IntN(5)]
		addr := []string{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:7", "2001:db8:9:2:3:4:5:6", "2001:db8::1", "::1", "2001:db8:1:2:3:4:5", "2001:db8:1:2:3:4:5:6:7", "2001:db8:1:2:3:4:5:006", "::ffff:192.0.2.1", "2003:db8:1:2:3:4:5:6"}[r.IntN(10)]
		rest := []string{"", "", "", "", "", " ", ":25", "]"}[r.IntN(8)]
		lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:49 mx1 postfix/smtpd[%d]: connect from %s[%s]%s", 1+r.IntN(5000), name, addr, rest))
	}
	if n := twins(t, lines); n < 10_000 {
		t.Fatalf("only %d events", n)
	}
	twins(t, mutated(r, lines, 20_000))
	// Again with another process, as long as it is in the same words.
	var p Parser
	var ev Event
	at := func(pid int) []byte {
		return fmt.Appendf(nil, "Nov  5 08:46:49 mx1 postfix/smtpd[%d]: connect from mx1.example.com[2001:db8::1]", pid)
	}
	p.Parse(at(7), &ev)
	for i := range p.slow {
		p.slow[i].client = netip.MustParseAddr("2001:db8::2") // a mark
	}
	if p.Parse(at(8), &ev); ev.Client != netip.MustParseAddr("2001:db8::2") {
		t.Errorf("a client that was read before is read anew: %v", ev.Client)
	}
}

// TestParserRefusals: rejects whose words were met before, with fields of all
// kinds.
func TestParserRefusals(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	address := func() string {
		if r.IntN(4) > 0 {
			return fmt.Sprintf("u%d@example.net", r.IntN(1_000_000))
		}
		return pick("", "a", "jones@example.net", "bounce+x=y@lists.example", `"a b"@example.net`, `"a\"> to=<b"@x`, "a<b", "a>: Relay access denied; from=<", "a@b> to=<c@d",
			" sasl_sender=x", strings.Repeat("l", 62), strings.Repeat("l", 63), strings.Repeat("l", 64), strings.Repeat("l", 65)+"@example.net", "a\"b", "a b")
	}
	codes := []string{"450 4.1.1 ", "550 5.1.1 ", "450 ", "554 5.7.1 ", "554 5.7.25 ", "550 5.110.120 ", "5.1.1 ", "", "45 4.1.1 ", "450  "}
	texts := []string{"Recipient address rejected: User unknown in local recipient table", "Recipient address rejected: User unknown in virtual mailbox table", "Relay access denied",
		"Recipient address rejected: Domain not found", "Sender address rejected: Domain not found; see http://x.example/?a=b", "Recipient address rejected: Greylisted", "User unknown",
		"Recipient address rejected: " + strings.Repeat("x", 90), "End-of-data rejected: Greylisted", "said: x>: Relay access denied", ""}
	var lines [][]byte
	var code, text string
	for n := range 20_000 {
		if n == 0 || r.IntN(8) == 0 {
			code, text = codes[min(r.IntN(20), r.IntN(10))], texts[min(r.IntN(22), r.IntN(11))]
		}
		to := address()
		object := to
		if r.IntN(8) == 0 {
			object = address()
		}
		lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:49 mx1 postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.1]: %s<%s>: %s; from=<%s> to=<%s> proto=%s helo=<%s>%s",
			code, object, text, address(), to, pick("ESMTP", "SMTP", "ESMTP", "SMTP", "EHLO", "LMTP"),
			pick("mail.example.com", "h.example", "WIN-29D20E45", "localhost", "x", "", "a b", "a>b", `"x"`, strings.Repeat("h", 63), strings.Repeat("h", 64), strings.Repeat("h", 100)), pick("", "", "", "", " sasl_username=x", ">", "x")))
	}
	if n := twins(t, lines); n < 15_000 {
		t.Errorf("only %d events", n)
	}
	twins(t, mutated(r, lines, 20_000))
	known, bare := map[Reason]int{}, 0
	var p Parser
	for _, line := range lines {
		line = append(line, strings.Repeat(".", 64)...)[:len(line)] // as in a block of lines
		var ev, again Event
		Parse(line, &ev)
		if b, ok := bytes.CutPrefix(ev.Text(Message), []byte("NOQUEUE: reject: RCPT from unknown[192.0.2.1]: ")); ok && len(b) >= minRefused {
			again.line = line
			if p.refusals[refusalAt(b)].reads(b, &again) {
				if known[ev.Reason]++; ev.Text(DSN) == nil {
					bare++
				}
			}
		}
		p.Parse(line, &ev)
	}
	if known[RcptUnknown] < 500 || known[RelayDenied] < 200 || bare < 200 {
		t.Errorf("only these were known: %v, %d without a status code", known, bare)
	}
}

// TestParserHeads: what stands in front of the tag, short and long.
func TestParserHeads(t *testing.T) {
	var lines [][]byte
	for _, stamp := range []string{"Nov  5 08:46:49", "Nov 05 08:46:49", "Nov  5 08:46:49.123", "Nov 31 08:46:49", "Feb 29 23:59:60", "2026-11-05T08:46:49Z"} {
		for n := range 70 {
			host := strings.Repeat("h", n)
			for _, host := range []string{host, host + ":", "<" + host, "<22>" + host, host + "\x00"} {
				for _, rest := range []string{"postfix/smtpd[7]: connect from unknown[192.0.2.7]", "dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25", "postfix/smtpd[7]: connect from a[::1]"} {
					line := []byte(stamp + " " + host + " " + rest)
					lines = append(lines, line, line, bytes.Replace(line, []byte("Nov"), []byte("Dec"), 1), line)
				}
			}
		}
	}
	// Lines as long as what is read of them, and longer.
	for n := maxText - 100; n < maxText+50; n++ {
		line := fmt.Appendf(nil, "Nov  5 08:46:49 mx1 postfix/smtpd[7]: lost connection after AUTH from unknown[192.0.2.7]")
		lines = append(lines, line, append(bytes.Clone(line), strings.Repeat("x", n-len(line))...))
		line = fmt.Appendf(nil, "Nov  5 08:46:49 mx1 postfix/smtpd[7]: warning: unknown[192.0.2.7]: SASL LOGIN authentication failed: ")
		lines = append(lines, append(line, strings.Repeat("x", n-len(line))...))
	}
	// Hosts that differ in one byte.
	for n := 1; n < 60; n++ {
		for at := range n {
			for range 3 {
				host := bytes.Repeat([]byte("h"), n)
				lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:49 %s postfix/smtpd[7]: connect from unknown[192.0.2.7]", host))
				host[at] = 'x'
				lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:49 %s postfix/smtpd[7]: connect from unknown[192.0.2.7]", host))
			}
		}
	}
	if n := twins(t, lines); n < 1000 {
		t.Fatalf("only %d events", n)
	}
}

// TestParserForeignTags: lines of other programs, and what looks like them.
func TestParserForeignTags(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	names := []string{"amavis", "opendkim", "spamd", "syslogd", "postfix", "last", "---", "a", "fifteen-letters", "sixteen--letters",
		"seventeen-letters", "postfix/bounce", "postfix/scache", "postfix/anvil", "postfix/trivial-rewrite", "x/smtpd", "dovecot", "mail.warn", "12345678", "1234567"}
	ends := []string{"[7]: ", "[x]: ", "[7] ", ": ", " ", "[7]:", ":[7]: ", "["}
	texts := []string{"last message repeated 3 times", "message repeated 3 times: [ connect from unknown[192.0.2.7]]", "disconnect from mail.example.com[192.0.2.7] ehlo=1 quit=1 commands=2", "postfix/smtpd[7]: connect from unknown[192.0.2.7]",
		"imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25", "statistics: max connection rate 2/60s for (smtp:192.0.2.7) at Nov 5 08:46:49", ""}
	var lines [][]byte
	for range 20000 {
		lines = append(lines, []byte("Nov  5 08:46:49 mx1 "+names[r.IntN(len(names))]+ends[r.IntN(len(ends))]+texts[r.IntN(len(texts))]))
	}
	for i := range 400 { // all tags again and again, of which many have one place
		lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:49 mx1 tag-%d[7]: connect from unknown[192.0.2.7]         ", i%40))
	}
	if n := twins(t, lines); n < 300 {
		t.Fatalf("only %d events", n)
	}
	twins(t, mutated(r, lines, 20000))
	var p Parser
	var ev Event
	for range 2 {
		if p.Parse(lines[len(lines)-1], &ev) || ev.Kind != KindNone {
			t.Fatalf("%v for %q", ev.Kind, lines[len(lines)-1])
		}
	}
	if p.foreign == [len(p.foreign)]shortTag{} {
		t.Error("a foreign tag is not remembered")
	}
}

// TestRepeatLeavesNothing: a repeated line of a daemon that is not named sets
// texts, and they must be gone from the next one.
func TestRepeatLeavesNothing(t *testing.T) {
	lines := [][]byte{
		[]byte("<22>1 2026-11-23T09:02:45+00:00 mx1 postfix 7 - -  NOQUEUE: reject: RCPT from [192.0.2.7]:46711: 450 4.3.2 Service currently unavailable; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<x>"),
		[]byte("Nov 23 09:02:45 mx1 last message repeated 2 times"),
		[]byte("Nov 23 09:02:46 mx1 postfix/smtpd[9]: disconnect from unknown[192.0.2.8]"),
	}
	if n := twins(t, lines); n != len(lines) {
		t.Fatalf("%d events", n)
	}
}

func FuzzParser(f *testing.F) {
	for _, c := range corpusLines(f) {
		f.Add(c.text, uint64(1))
	}
	f.Add([]byte("Nov 23 08:00:00 mx1 postfix/smtpd[1]: connect from unknown[192.0.2.7]\nNov 23 08:00:00 mx1 postfix/smtpd[1]: disconnect from unknown[192.0.2.7]"), uint64(2))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		lines := bytes.Split(data, []byte("\n"))
		lines = append(lines, mutated(rand.New(rand.NewPCG(seed, 3)), lines, 30)...)
		twins(t, lines)
	})
}

func TestParserAllocatesNothing(t *testing.T) {
	var p Parser
	var ev Event
	line := []byte("Nov 23 08:46:45 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.7]")
	if n := testing.AllocsPerRun(100, func() { p.Parse(line, &ev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestKnownSummaries: summaries that are alike, and what is none.
func TestKnownSummaries(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	words := []string{" ehlo=1", " ehlo=2", " auth=0/1", " mail=1", " rcpt=0/1", " rcpt=1", " data=1", " quit=1", " notes=bare_lf", " data=0/1", " commands=3/4", " commands=7", " x", " =1", "  mail=1", " mail=12/345", " unknown=0/9"}
	var lines [][]byte
	for range 60000 {
		sum := ""
		for range r.IntN(10) {
			sum += words[r.IntN(len(words))]
		}
		if n := len(lines); n > 0 && r.IntN(2) == 0 {
			lines = append(lines, lines[n-1-r.IntN(min(n, 50))])
			continue
		}
		lines = append(lines, []byte("Nov 23 08:46:45 mx1 postfix/smtpd[7]: disconnect from unknown[198.51.100.7]"+sum))
	}
	if n := twins(t, lines); n < 10000 {
		t.Fatalf("only %d events", n)
	}
	twins(t, mutated(r, lines, 20000))
}
