package maillog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

func TestEventIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Event{}); n > 192 {
		t.Errorf("an event takes %d bytes: blocks of them are handed from one processor to another", n)
	}
}

func TestSetText(t *testing.T) {
	line := []byte("Nov 23 08:46:45 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.7]")
	var ev Event
	if !Parse(line, &ev) {
		t.Fatal("no event")
	}
	if n := testing.AllocsPerRun(10, func() { ev.SetText(Sender, line[4:6]) }); n != 0 || string(ev.Text(Sender)) != "23" {
		t.Errorf("a part of the line: %q, %v allocations", ev.Text(Sender), n)
	}
	twin := bytes.Clone(line)
	for _, c := range []struct {
		text Text
		is   []byte
	}{{Sender, []byte("a@example.com")}, {Recipient, []byte{}}, {Helo, twin[4:6]}, {SASLUser, line[len(line):]}, {Tag, []byte("foo")}, {Proto, nil}} {
		ev.SetText(c.text, c.is)
		if got := ev.Text(c.text); string(got) != string(c.is) || (got == nil) != (c.is == nil) {
			t.Errorf("text %d: %q, want %q", c.text, got, c.is)
		}
	}
	for text, want := range map[Text]string{Sender: "a@example.com", Helo: "23", ClientName: "unknown", Host: "mx1", Message: "connect from unknown[198.51.100.7]"} {
		if got := string(ev.Text(text)); got != want {
			t.Errorf("text %d became %q, was %q", text, got, want)
		}
	}
	if !bytes.Equal(line, twin) {
		t.Error("the line was written to")
	}
	var bare Event
	if bare.SetText(Sender, []byte{}); bare.Text(Sender) == nil || bare.Text(Recipient) != nil {
		t.Error("an event without a line: the null sender is none")
	}
	ev.SetText(Sender, make([]byte, 1<<17))
	if n := len(ev.Text(Sender)); n > maxText || n < maxText-200 {
		t.Errorf("a text of %d bytes", n)
	}
}

// TestLongLines: the client is read from a line of any length, and no text is
// one that does not stand there.
func TestLongLines(t *testing.T) {
	for _, n := range []int{1 << 10, maxText - 300, maxText - 200, maxText - 100, maxText, maxText + 1, 1<<16 + 1, 1 << 20} {
		for _, form := range []string{
			"Nov 23 08:46:45 mx1 postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 550 5.1.1 <%s>: Recipient address rejected: User unknown; from=<> to=<%[1]s> proto=ESMTP helo=<x>",
			"2026-11-23T08:46:45Z mx1 postfix/smtpd[7]: warning: unknown[198.51.100.7]: SASL LOGIN authentication failed: x, sasl_username=%s",
			"Nov 23 08:46:45 mx1 postfix/smtpd[7]: disconnect from unknown[198.51.100.7]%.0s ehlo=1 quit=1 commands=2",
		} {
			line := fmt.Appendf(nil, form, strings.Repeat("y", n))
			var ev, other Event
			var p Parser
			if !Parse(line, &ev) || ev.Client.String() != "198.51.100.7" || !p.Parse(line, &other) || other.Client != ev.Client {
				t.Fatalf("%d bytes: %v of %v, %v", len(line), ev.Kind, ev.Client, other.Client)
			}
			for text, b := range texts(&ev) {
				if !inside(b, line) || !bytes.Equal(b, other.Text(text)) {
					t.Errorf("%d bytes: text %d is not inside the line, or not the same", len(line), text)
				}
			}
			if got, want := len(ev.Text(Message)), min(len(line), maxText)-bytes.Index(line, []byte("]: "))-len("]: "); got != want {
				t.Errorf("%d bytes: a message of %d, want %d", len(line), got, want)
			}
		}
	}
}
