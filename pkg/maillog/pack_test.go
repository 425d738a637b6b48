package maillog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"unsafe"
)

// packedTwins parses lines with a Parser, packs what was found, and compares what
// comes out of the Pack with what Parse says. It returns how many events there
// were and how many of them fitted.
func packedTwins(t testing.TB, lines [][]byte) (events, fitted int) {
	t.Helper()
	data := bytes.Join(lines, []byte("\n"))
	var pack Pack
	pack.Reset(nil)
	pack.Add(&Event{Kind: SMTPDConnect}, 7) // of a piece before
	pack.Reset(data)
	var parser Parser
	var ev Event
	rest := data
	for n, line := range lines {
		at := rest[:len(line)]
		rest = rest[min(len(line)+1, len(rest)):]
		if parser.Parse(at, &ev) || ev.Kind == KindNone && Split(at, &ev) {
			pack.Add(&ev, uint32(n))
			events++
		}
	}
	fitted = events - len(pack.whole)
	parser = Parser{} // what it remembered is gone
	ev = Event{}
	j := NewJoiner()
	last := -1
	for {
		n, ok := pack.Next(&ev)
		if !ok {
			break
		}
		line := lines[n]
		if int(n) <= last {
			t.Fatalf("line %d comes behind line %d", n, last)
		}
		last = int(n)
		events--
		var want Event
		if !Parse(line, &want) {
			Split(line, &want)
		}
		got := ev
		got.by, got.head, got.lane, got.dirty, want.dirty = nil, 0, 0, false, false
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("line %d: %q:\n got %+v\nwant %+v", n, line, got, want)
		}
		j.Join(1, uint64(n), 1795392000, &ev) // it writes to the event too
		j.Keep()
	}
	if events != 0 {
		t.Fatalf("%d events did not come out", events)
	}
	return events + fitted + len(pack.whole), fitted
}

func TestPack(t *testing.T) {
	if n := unsafe.Sizeof(packed{}); n > 64 {
		t.Errorf("a packed event takes %d bytes, more than a cache line", n)
	}
	var lines [][]byte
	for _, c := range corpusLines(t) {
		lines = append(lines, c.text)
	}
	if n, fitted := packedTwins(t, lines); n < 300 || fitted < n/3 {
		t.Errorf("%d events in the corpus, %d of them fitted", n, fitted)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		packedTwins(t, mutated(r, lines, 3000))
	}
	// What nearly all lines of a log look like fits.
	lines = nil
	for i, m := range []string{
		"smtpd[7]: connect from unknown[192.0.2.7]",
		"smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 450 4.1.1 <a@b.example>: Recipient address rejected: User unknown in local recipient table; from=<> to=<a@b.example> proto=SMTP helo=<x>",
		"smtpd[7]: disconnect from unknown[192.0.2.7] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4",
		"smtpd[7]: 4qpP80vQD1MVtm: client=mail.example.com[2001:db8::1]",
		"submission/smtpd[7]: 4qpP80vQD1MVtm: client=unknown[192.0.2.7], sasl_method=PLAIN, sasl_username=a@example.com",
		"qmgr[7]: 4qpP80vQD1MVtm: from=<a@example.com>, size=29801, nrcpt=1 (queue active)",
		"postscreen[7]: CONNECT from [192.0.2.7]:1234 to [192.0.2.25]:25",
	} {
		lines = append(lines, fmt.Appendf(nil, "Nov  5 08:46:%02d mx1 postfix/%s", i/3, m))
	}
	lines = append(lines, []byte("Nov  5 08:46:49 mx1 dovecot: imap-login: Login: user=<a>, method=PLAIN, rip=192.0.2.7, lip=192.0.2.25, mpid=1, TLS"))
	if n, fitted := packedTwins(t, lines); n != len(lines) || fitted != n {
		t.Errorf("%d of %d plain lines are events, %d fit", n, len(lines), fitted)
	}
}
