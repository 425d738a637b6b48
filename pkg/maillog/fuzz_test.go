package maillog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// texts are all text fields of an event.
func texts(ev *Event) map[Text][]byte {
	all := map[Text][]byte{}
	for t := range numTexts {
		all[t] = ev.Text(t)
	}
	return all
}

// inside reports whether b is a sub-slice of line.
func inside(b, line []byte) bool {
	if b == nil {
		return true
	}
	if cap(b) == 0 || cap(line) == 0 {
		return len(b) == 0
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - uintptr(unsafe.Pointer(unsafe.SliceData(line)))
	return at <= uintptr(len(line)) && at+uintptr(len(b)) <= uintptr(len(line))
}

func FuzzParse(f *testing.F) {
	for _, c := range corpusLines(f) {
		f.Add(c.text)
	}
	f.Add([]byte("Nov 23 08:46:45 mx1 postfix/smtpd[7]: connect from unknown[0:0:0:0:0:ffff:c633:6407]"))
	f.Add([]byte(`{"log":"Nov 23 08:46:45 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.\u0037]\n","stream":"stdout","time":"2026-11-23T08:46:45.1Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		var ev, again Event
		ok := Parse(line, &ev)
		if !bytes.Equal(before, line) {
			t.Fatal("the line was written to")
		}
		if ok != (ev.Kind > KindUnknown) || ev.Kind >= NumKinds || ev.Kind == KindCustom {
			t.Fatalf("%t with kind %d", ok, ev.Kind)
		}
		again = Event{Kind: SMTPDQueuedAuth, Repeat: 3, PID: 1, Stamp: Stamp{Year: 1}}
		again.SetText(Helo, []byte("x"))
		if Parse(bytes.Clone(line), &again) != ok || !reflect.DeepEqual(ev, again) {
			t.Fatalf("two answers for one line: %+v, %+v", ev, again)
		}
		if a := ev.Client; a.IsValid() && (!ok || a.Zone() != "" || a.Is4In6()) {
			t.Fatalf("client %v of %v", a, ev.Kind)
		}
		if !ok && (ev.Client.IsValid() || ev.Text(Helo) != nil || ev.Text(Sender) != nil || ev.Text(SASLUser) != nil || ev.Text(QueueID) != nil) {
			t.Fatalf("%v with details: %+v", ev.Kind, ev)
		}
		if !bytes.HasPrefix(line, []byte("{")) && !bytes.HasPrefix(line, []byte("\x00")) {
			for name, b := range texts(&ev) {
				if !inside(b, line) && name != Service {
					t.Fatalf("text %d is not inside the line", name)
				}
			}
		}
		// A client that is not written in the line is made up, but for one that is
		// written as an IPv6 address, or with escapes in JSON.
		mapped, escaped := bytes.Contains(bytes.ToLower(line), []byte("ffff:")), bytes.Contains(line, []byte(`\u`))
		if a := ev.Client; a.Is4() && !bytes.Contains(line, []byte(a.String())) && !mapped && !escaped {
			t.Fatalf("%v does not stand in the line", a)
		}
	})
}

// The filters of Postfix for what a client writes (msg_output, neuter, the
// quoting of 3.5, getnameinfo with valid_hostname, escape).

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}

func neuter(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" <>()\\\";@", r) {
			return '?'
		}
		return r
	}, printable(s))
}

func quoted(s string) string {
	s = printable(s)
	if strings.IndexFunc(s, func(r rune) bool { return r < 0x80 && idClass[byte(r)] == 0 && r != '-' && r != '.' }) < 0 && s != "" {
		return s + "@example.com"
	}
	s = strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`)
	return `"` + s + `"@example.com`
}

func hostNameOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && nameByte[byte(r)] {
			return r
		}
		return '-'
	}, s)
	if len(s) > 63 {
		s = s[:63]
	}
	return s + ".example"
}

func cutAt(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// method is what follows AUTH: blanks only inside quotes or brackets.
func method(s string) string {
	s = cutAt(printable(s), 98)
	if strings.Contains(s, " ") {
		return `"` + strings.ReplaceAll(s, `"`, "'") + `"`
	}
	if s == "" {
		return "PLAIN"
	}
	return s
}

func oneWord(s string) string {
	w, _, _ := strings.Cut(printable(s), " ")
	return w
}

// FuzzForge writes genuine lines of all forms with text of an attacker in
// every field he controls, filtered as Postfix filters it. Whatever he writes,
// the client is the one in its place, and none of it is good evidence.
func FuzzForge(f *testing.F) {
	for _, s := range []string{
		"", "x", "unknown[203.0.113.9]: SASL LOGIN authentication failed: x", "x> to=<y> proto=ESMTP helo=<z>",
		" from unknown[203.0.113.9]: 554 5.7.1 <x>: Relay access denied; from=<a@b> to=<c@d> proto=SMTP helo=<h>",
		", sasl_method=PLAIN, sasl_username=alice", "x, rip=203.0.113.9, lip=192.0.2.25", "x>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.25, session=<a>",
		"203.0.113.9", "[203.0.113.9]", "x,203.0.113.9): unknown user", "x,203.0.113.9,<a>): unknown user",
		"message repeated 99 times: [ warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: x]",
		"\nNov 23 08:00:00 mx1 postfix/smtpd[1]: connect from unknown[203.0.113.9]", "x\" authentication aborted", "a\\", "\"", "?,203.0.113.9): Username ",
		": host mx[203.0.113.9] said: 550 <x>: Recipient address rejected: Greylisted", "x]: [203.0.113.9]:25", "client=unknown[203.0.113.9], sasl_method=PLAIN",
	} {
		f.Add(s, s, "x", uint8(0))
		f.Add("x", "y", s, uint8(1))
	}
	f.Fuzz(func(t *testing.T, a, b, c string, v uint8) {
		const addr = "198.51.100.7"
		name := "unknown"
		if v&1 != 0 {
			name = hostNameOf(c)
		}
		who := name + "[" + addr + "]"
		if v&2 != 0 {
			who += ":4711"
		}
		helo := neuter(a)
		from, to := quoted(a), quoted(b)
		rawFrom, rawTo := printable(a)+"@example.com", printable(b)+"@example.net"
		fields := "; from=<" + from + "> to=<" + to + "> proto=ESMTP helo=<" + helo + ">"
		rawFields := "; from=<" + rawFrom + "> to=<" + rawTo + "> proto=ESMTP helo=<" + helo + ">"
		early := "; proto=SMTP helo=<" + printable(a) + ">"
		text := func(s string) string { return cutAt(s, 510) }
		smtpd := "postfix/smtpd[7]: "
		if v&4 != 0 {
			smtpd = "postfix/submission/smtpd[7]: "
		}
		type form struct{ tag, msg, client string }
		forms := []form{
			{smtpd, "connect from " + who, addr},
			{smtpd, "disconnect from " + who, addr},
			{smtpd, "AAAAAA1: client=" + who + ", sasl_sender=" + printable(a), addr},
			{smtpd, "AAAAAA1: reject: RCPT from " + who + ": " + text("554 5.7.1 <"+rawTo+">: Relay access denied") + fields, addr},
			{smtpd, "NOQUEUE: reject: RCPT from " + who + ": " + text("450 4.1.8 <"+rawFrom+">: Sender address rejected: Domain not found") + fields, addr},
			{smtpd, "NOQUEUE: reject: RCPT from " + who + ": " + text("554 <"+rawTo+">: Relay access denied") + rawFields, addr},
			{smtpd, "NOQUEUE: reject: RCPT from " + who + ": " + text("554 5.7.1 <"+rawTo+">: Relay access denied") + fields + " sasl_sender=" + printable(c), addr},
			{smtpd, "NOQUEUE: reject: HELO from " + who + ": " + text("501 5.5.2 <"+printable(a)+">: Helo command rejected: Invalid name") + early, addr},
			{smtpd, "NOQUEUE: milter-reject: EHLO from " + who + ": 550 5.7.1 no " + printable(a) + early, addr},
			{smtpd, "NOQUEUE: reject: RCPT from " + who + ": " + text("554 5.7.1 Service unavailable; Sender address ["+rawFrom+"] blocked using rbl.example; "+printable(b)) + fields, addr},
			{smtpd, "NOQUEUE: hold: RCPT from " + who + ": " + printable(c) + fields, addr},
			{smtpd, "NOQUEUE: info: RCPT from " + who + ": " + fields, addr},
			{smtpd, "proxy-reject: END-OF-MESSAGE: 554 5.7.0 " + printable(a) + fields, ""},
			{smtpd, "warning: " + who + ": SASL " + method(a) + " authentication failed: Invalid authentication mechanism, sasl_username=" + cutAt(printable(b), 100), addr},
			{smtpd, "warning: " + who + ": SASL " + method(a) + " authentication failed", addr},
			{smtpd, "warning: " + who + ": SASL PLAIN authentication failed: UGFzc3dvcmQ6, sasl_username=" + cutAt(printable(b), 100), addr},
			{smtpd, "warning: SASL authentication failure: Couldn't find mech " + printable(a), ""},
			{smtpd, "warning: non-SMTP command from " + who + ": " + printable(a), addr},
			{smtpd, "warning: " + who + " sent non-SMTP command: " + printable(a), addr},
			{smtpd, "warning: " + who + ": request longer than 2048: " + printable(a) + "...", addr},
			{smtpd, "warning: Illegal address syntax from " + who + " in MAIL command: " + printable(a), addr},
			{smtpd, "improper command pipelining after DATA from " + who + ": " + printable(a), addr},
			{smtpd, who + ": replacing command \"" + printable(a) + "\" with \"x\"", addr},
			{smtpd, who + ": subject_CN=" + printable(a) + ", issuer=" + printable(b), addr},
			{smtpd, "warning: reject: ETRN " + hostNameOf(a) + "... from " + who, addr},
			{smtpd, "warning: hostname " + hostNameOf(a) + " does not resolve to address " + addr + ": no such host", addr},
			{smtpd, "warning: numeric hostname: 203.0.113.9", ""},
			{smtpd, "TLS SNI " + hostNameOf(a) + " from " + who + " not matched, using default chain", addr},
			{smtpd, "warning: TLS SNI from " + who + " is invalid: " + printable(a), addr},
			{smtpd, "NOQUEUE: lost connection after RCPT from " + who, addr},
			{smtpd, "using backwards-compatible default setting \"" + printable(a) + "\" from " + who, ""},
			{smtpd, "warning: haproxy read: bad or missing protocol type: " + printable(a), ""},
			{"postfix/postscreen[7]: ", "PREGREET 9 after 0 from [" + addr + "]:25: " + printable(a), addr},
			{"postfix/postscreen[7]: ", "COMMAND PIPELINING from [" + addr + "]:25 after EHLO: " + printable(a), addr},
			{"postfix/postscreen[7]: ", "NON-SMTP COMMAND from [" + addr + "]:25 after CONNECT: " + printable(a), addr},
			{"postfix/postscreen[7]: ", "BARE NEWLINE from [" + addr + "]:25 after " + printable(a), addr},
			{"postfix/postscreen[7]: ", "NOQUEUE: reject: RCPT from [" + addr + "]:25: 450 4.3.2 Service currently unavailable; from=<" +
				printable(a) + ">, to=<" + printable(b) + ">, proto=ESMTP, helo=<" + oneWord(c) + ">", addr},
			{"postfix/cleanup[7]: ", "AAAAAA1: message-id=" + printable(a), ""},
			{"postfix/cleanup[7]: ", "AAAAAA1: reject: header Subject: " + cutAt(printable(a), 200) + " from " + who + fields + ": 5.7.1 no", ""},
			{"postfix/cleanup[7]: ", "AAAAAA1: milter-reject: END-OF-MESSAGE from " + who + ": 5.7.1 " + printable(a) + fields, addr},
			{"postfix/smtp[7]: ", "AAAAAA1: to=<" + to + ">, relay=mx[203.0.113.9]:25, status=bounced (host mx[203.0.113.9] said: " + printable(a) + ")", ""},
			{"dovecot: ", "imap-login: Disconnected (auth failed, 1 attempts in 2 secs): user=<" + cutAt(printable(a), 80) + ">, method=PLAIN, rip=" + addr + ", lip=192.0.2.25, session=<QmNk3+1gK8vGM2RA>", addr},
			{"dovecot: ", "pop3-login: Disconnected: Inactivity (no auth attempts in 9 secs): user=<" + cutAt(printable(a), 80) + ">, rip=" + addr + ", lip=192.0.2.25", addr},
			{"dovecot: ", "auth: passwd-file(" + printable(a) + "," + addr + ",<QmNk3+1gK8vGM2RA>): unknown user", addr},
			{"dovecot: ", "auth: passwd-file(" + printable(a) + "," + addr + "): Password mismatch", addr},
			{"dovecot: ", "auth: plain(?," + addr + "): Username character disallowed by auth_username_chars: 0x2c (username: " + printable(a) + ")", addr},
			{"dovecot: ", "auth: passwd-file(alice," + addr + "): Password mismatch (given password: " + printable(a) + ")", addr},
		}
		for _, fm := range forms {
			for _, line := range []string{
				"Nov 23 08:46:45 mx1 " + fm.tag + fm.msg,
				"<22>1 2026-11-23T08:46:49.139199+00:00 mx1 " + tagOnly(fm.tag) + " 7 - -  " + fm.msg,
			} {
				var ev Event
				Parse([]byte(line), &ev)
				if got := ev.Client; got.IsValid() && got.String() != fm.client {
					t.Fatalf("blames %v for %q", got, line)
				}
				if ev.Repeat != 0 || ev.Kind == KindRepeat {
					t.Fatalf("repeats %d times: %q", ev.Repeat, line)
				}
				switch ev.Kind {
				case SMTPDQueuedAuth, DovecotLoginOK, PostscreenPassNew, PostscreenPassOld, PostscreenAllowlisted, KindActive:
					t.Fatalf("%v for %q", ev.Kind, line)
				}
			}
		}
	})
}

// tagOnly is the tag as rsyslog's RFC 5424 template cuts it.
func tagOnly(s string) string {
	s, _, _ = strings.Cut(s, ":")
	s, _, _ = strings.Cut(s, "/")
	return s
}

func FuzzJoiner(f *testing.F) {
	f.Add(uint64(1), []byte("Nov 23 08:00:00 mx1 postfix/smtpd[1]: connect from unknown[192.0.2.7]\nNov 23 08:00:00 mx1 last message repeated 3 times"))
	f.Add(uint64(2), []byte("x"))
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		rng := rand.New(rand.NewPCG(seed, 9))
		lines := strings.Split(string(data), "\n")
		for _, l := range randomLines(rng, 40) {
			at := rng.IntN(len(lines) + 1)
			lines = append(lines[:at:at], append([]string{l}, lines[at:]...)...)
		}
		a := NewJoiner()
		a.Source(1, SourceOptions{Reference: 1798754400})
		b := restarted(t, a)
		var markA, markB int64
		stop := rng.IntN(len(lines))
		for i, line := range lines {
			if i == stop {
				b = restarted(t, b)
			}
			want, got := outcome(a, uint64(i), &markA, line), outcome(b, uint64(i), &markB, line)
			if want != got {
				t.Fatalf("line %d: %q\n got %s\nwant %s", i, line, got, want)
			}
		}
		if st := a.State(); len(st.Sessions) > len(lines) || len(st.Messages) > len(lines) {
			t.Fatal("more state than lines")
		} else if !reflect.DeepEqual(st, b.State()) {
			t.Fatalf("states differ: %s", fmt.Sprint(st))
		}
	})
}

// TestForgedAddresses keeps the strictness of the address parser in view.
func TestForgedAddresses(t *testing.T) {
	for _, s := range []string{
		"", ".", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1..3.4", "1.2.3.", "0x1.2.3.4",
		":", ":::", "1::2::3", "2001:db8", "2001:0db8::1", "2001:DB8::1", "2001:db8::1%eth0", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7::8:9", "12345::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5", "1:", ":1", "1:2:3:4:5:6:7:8:", "g::",
	} {
		if a, ok := parseAddr([]byte(s)); ok {
			t.Errorf("%q is read as %v", s, a)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 100000 {
		var raw [16]byte
		for i := range raw {
			if rng.IntN(3) == 0 {
				raw[i] = byte(rng.Uint32())
			}
		}
		for _, want := range []netip.Addr{netip.AddrFrom16(raw).Unmap(), netip.AddrFrom4([4]byte(raw[:4]))} {
			if a, ok := parseAddr([]byte(want.String())); !ok || a != want {
				t.Fatalf("%v is read as %v", want, a)
			}
		}
	}
}
