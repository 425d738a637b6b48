package rules_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
)

// A story is what some clients do: lines by second.
type story struct {
	lines []storyLine
	pid   int
}

type storyLine struct {
	at   int
	text string
}

func (s *story) log(at int, program, format string, args ...any) {
	s.lines = append(s.lines, storyLine{at, fmt.Sprintf("%s: %s", program, fmt.Sprintf(format, args...))})
}

// session logs messages of smtpd in a session of their own. In a message @ is
// the client.
func (s *story) session(at int, client string, end string, messages ...string) {
	s.pid++
	program := fmt.Sprintf("postfix/smtpd[%d]", s.pid)
	name := "unknown[" + client + "]"
	s.log(at, program, "connect from %s", name)
	for _, m := range messages {
		s.log(at, program, "%s", bytes.ReplaceAll([]byte(m), []byte("@@"), []byte(name)))
	}
	s.log(at, program, "disconnect from %s %s", name, end)
}

const (
	probe   = "commands=0/0"
	refused = "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
	taken   = "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
)

func rcpt(reply, from, to string) string {
	return fmt.Sprintf("NOQUEUE: reject: RCPT from @@: %s; from=<%s> to=<%s> proto=ESMTP helo=<mx.good.example>", reply, from, to)
}

func unknown(code, from, to string) string {
	return rcpt(code+" <"+to+">: Recipient address rejected: User unknown in local recipient table", from, to)
}

// offence is what one line weighs, by window.
type offence struct {
	at      int64
	client  netip.Addr
	weights []rule.WindowWeight
	value   [rule.DistinctSASLUser + 1]string
	times   int // copies
}

// fired plays a story against the shipped rules and the default windows and
// says in which windows anybody fired; the sums are those of pkg/score, done
// the plain way and without known-good senders.
func fired(t *testing.T, s *story) map[string]int64 {
	t.Helper()
	_, set := shipped(t)
	sort.SliceStable(s.lines, func(i, j int) bool { return s.lines[i].at < s.lines[j].at })
	start := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	j := maillog.NewJoiner()
	j.Source(0, maillog.SourceOptions{Location: time.UTC, Reference: start.Unix()})
	var offences []offence
	var accepted []offence
	var ev maillog.Event
	for i, l := range s.lines {
		stamp := start.Add(time.Duration(l.at) * time.Second)
		if !maillog.Parse([]byte(stamp.Format("2006-01-02T15:04:05.000000-07:00")+" mx1 "+l.text), &ev) {
			t.Fatalf("not read: %s", l.text)
		}
		ses := j.Join(0, uint64(i+1), stamp.Unix(), &ev)
		j.Keep()
		if ev.Messages > 0 {
			accepted = append(accepted, offence{at: ev.Time, client: ev.Client, times: int(ev.Recipients())})
		}
		for _, h := range set.Match(&ev, ses) {
			if h == nil || !ev.Client.IsValid() {
				continue
			}
			o := offence{at: ev.Time, client: ev.Client, weights: h.Weights, times: int(max(ev.Count, 1))}
			o.value[rule.DistinctRecipient], o.value[rule.DistinctSASLUser] = string(ev.Text(maillog.Recipient)), string(ev.Text(maillog.SASLUser))
			if h.TimesAuthFailed {
				o.times *= int(ev.AuthFailed)
			}
			offences = append(offences, o)
		}
	}
	out := map[string]int64{}
	for w, win := range config.Default().Windows {
		group := func(a netip.Addr) netip.Prefix {
			bits := a.BitLen()
			if win.Width4 != 0 {
				bits = win.Width4
			}
			p, _ := a.Prefix(bits)
			return p
		}
		byGroup := map[netip.Prefix][]offence{}
		for _, o := range offences {
			byGroup[group(o.client)] = append(byGroup[group(o.client)], o)
		}
		for g, all := range byGroup {
			for last := range all {
				from := all[last].at - win.Span
				units, events, clients := 0, 0, map[netip.Addr]bool{}
				seen := map[string]bool{}
				for _, o := range all[:last+1] {
					if o.at <= from {
						continue
					}
					for _, x := range o.weights {
						if x.Window != w {
							continue
						}
						v := ""
						if x.Distinct != rule.DistinctNone {
							v = o.value[x.Distinct]
						}
						key := o.client.String() + "/" + v
						if v != "" && seen[key] {
							units += x.Weight * o.times
						} else {
							units += 4 * x.Weight * o.times
						}
						seen[key] = true
						events += o.times
						clients[o.client] = true
					}
				}
				good := 0
				for _, a := range accepted {
					if a.at > from && a.at <= all[last].at && group(a.client) == g {
						good += a.times
					}
				}
				if units >= 4*win.Limit && len(clients) >= win.Clients && events*1000 >= win.Share*(events+good) {
					if first, ok := out[win.Name]; !ok || all[last].at-start.Unix() < first {
						out[win.Name] = all[last].at - start.Unix()
					}
				}
			}
		}
	}
	return out
}

const (
	minute = 60
	hour   = 60 * minute
)

// retries are the times at which a Postfix tries a deferred message again in
// its first day: queue_run_delay and minimal_backoff_time 300 s, doubled up to
// maximal_backoff_time 4000 s.
func retries() []int {
	var out []int
	for at, wait := 0, 300; at < 24*hour; at += wait {
		out = append(out, at)
		if at > 0 {
			wait = min(2*wait, 4000)
		}
	}
	return out
}

// None of these may be banned, not even without a good record.
func TestHonestClients(t *testing.T) {
	for name, tell := range map[string]func(s *story){
		"greylisted, no space, our DNS is down": func(s *story) {
			for at := 0; at < 24*hour; at += 5 * minute {
				s.session(at, "192.0.2.1", refused,
					rcpt("450 4.2.0 <a@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example/", "u@good.example", "a@example.net"),
					rcpt("451 4.3.5 <a@example.net>: Recipient address rejected: Server configuration error", "u@good.example", "a@example.net"),
					rcpt("451 4.3.0 <a@example.net>: Temporary lookup failure", "u@good.example", "a@example.net"),
					rcpt("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", "u@good.example", "a@example.net"),
					rcpt("450 4.1.8 <u@good.example>: Sender address rejected: Domain not found", "u@good.example", "a@example.net"),
					rcpt("450 4.7.1 <mx.good.example>: Helo command rejected: Host not found", "u@good.example", "a@example.net"),
					"NOQUEUE: reject: MAIL from @@: 452 4.3.1 Insufficient system storage; proto=ESMTP helo=<mx.good.example>",
				)
			}
		},
		"a mailing list to fifty is put off by greylisting": func(s *story) {
			put := rcpt("450 4.2.0 <a@example.net>: Recipient address rejected: Greylisted", "u@good.example", "a@example.net")
			for _, at := range []int{0, minute, 2 * minute, 5 * minute, 9 * minute} {
				s.session(at, "192.0.2.1", "ehlo=1 mail=1 rcpt=0/20 commands=2/22", append(slices.Repeat([]string{put}, 20), "too many errors after RCPT from @@")...)
			}
			s.session(15*minute, "192.0.2.1", "ehlo=1 mail=1 rcpt=50 data=1 quit=1 commands=54")
		},
		"an MTA retries three recipients that get a 450": func(s *story) {
			for _, at := range retries() {
				for i := range 3 {
					s.session(at, "192.0.2.1", refused, unknown("450 4.1.1", "u@good.example", fmt.Sprintf("gone%d@example.net", i)))
				}
			}
		},
		"an MTA retries three bounces that get a 450": func(s *story) {
			for _, at := range retries() {
				for i := range 3 {
					s.session(at, "192.0.2.1", refused, unknown("450 4.1.1", "", fmt.Sprintf("forged%d@example.net", i)))
				}
			}
		},
		"nine bounces in ten minutes": func(s *story) {
			for i := range 9 {
				s.session(i*minute, "192.0.2.1", refused, unknown("550 5.1.1", "", fmt.Sprintf("forged%d@example.net", i)))
			}
		},
		"backscatter of many MTAs": func(s *story) {
			for i := range 60 {
				for k := range 5 {
					s.session(i*minute+k, fmt.Sprintf("198.51.%d.7", 100+i), refused, unknown("550 5.1.1", "", fmt.Sprintf("forged%d-%d@example.net", i, k)))
				}
			}
		},
		"addresses are verified": func(s *story) {
			for i := range 24 {
				from := []string{"", "double-bounce@mx.good.example"}[i%2]
				s.session(i*hour, "192.0.2.1", refused, unknown("550 5.1.1", from, fmt.Sprintf("asked%d@example.net", i)))
			}
		},
		"a big provider with a stale list": func(s *story) {
			for i := range 600 {
				host := fmt.Sprintf("192.0.2.%d", 1+i%12)
				s.session(i, host, taken, "4F1B22C0A1: client=@@")
				if i%5 == 0 {
					s.session(i, host, refused, unknown("550 5.1.1", "list@big.example", fmt.Sprintf("stale%d@example.net", i)))
				}
			}
		},
		"a provider over the limit of connections": func(s *story) {
			for i := range 200 {
				s.session(i*10, "192.0.2.1", taken, "4F1B22C0A1: client=@@")
				if i%2 == 0 {
					s.log(i*10+1, "postfix/smtpd[9]", "warning: Connection concurrency limit exceeded: 51 from unknown[192.0.2.1] for service smtp")
				}
			}
		},
		"a probe connects and hangs up every minute": func(s *story) {
			for at := 0; at < 24*hour; at += minute {
				s.session(at, "192.0.2.1", probe, "lost connection after CONNECT from @@")
				s.session(at+30, "192.0.2.2", "quit=1 commands=1")
				s.session(at+40, "192.0.2.3", "ehlo=1 commands=1", "lost connection after EHLO from @@")
				s.log(at+50, "postfix/postscreen[8]", "HANGUP after 0 from [192.0.2.4]:%d in tests before SMTP handshake", 10000+at%50000)
			}
		},
		"an MTA whose TLS fails goes on without": func(s *story) {
			for at := 0; at < 24*hour; at += 10 * minute {
				s.session(at, "192.0.2.1", "ehlo=1 starttls=0/1 commands=1/2", "SSL_accept error from @@: -1", "lost connection after STARTTLS from @@")
				s.session(at+1, "192.0.2.1", taken, "4F1B22C0A1: client=@@")
			}
		},
		"a phone tries an old password every minute for ten": func(s *story) {
			for i := range 10 {
				s.session(i*minute, "192.0.2.1", "ehlo=1 auth=0/1 quit=1 commands=2/3",
					"warning: @@: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice")
			}
		},
		"a phone tries an old password every quarter of an hour to send": func(s *story) {
			for at := 0; at < 24*hour; at += 15 * minute {
				s.log(at, "postfix/submission/smtpd[5]", "warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=alice")
			}
		},
		"a phone tries an old password every quarter of an hour to read": func(s *story) {
			for at := 0; at < 24*hour; at += 15 * minute {
				s.log(at, "dovecot", "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<alice>, method=PLAIN, rip=192.0.2.1, lip=203.0.113.25, TLS, session=<x>")
			}
		},
		"a phone without a password tries to send every minute": func(s *story) {
			for i := range 60 {
				s.log(i*minute, "postfix/submission/smtpd[5]", "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <bob@other.example>: Relay access denied; from=<alice@example.net> to=<bob@other.example> proto=ESMTP helo=<phone>")
			}
		},
		"a program without a password sends one message to six people": func(s *story) {
			for i := range 10 {
				s.log(i*minute, "postfix/submission/smtpd[5]", "connect from unknown[192.0.2.1]")
				for k := range 6 {
					s.log(i*minute, "postfix/submission/smtpd[5]", "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <friend%d@other.example>: Relay access denied; from=<alice@example.net> to=<friend%d@other.example> proto=ESMTP helo=<phone>", k, k)
				}
				s.log(i*minute, "postfix/submission/smtpd[5]", "disconnect from unknown[192.0.2.1] ehlo=1 mail=1 rcpt=0/6 quit=1 commands=3/9")
			}
		},
		"an iPhone hiccups": func(s *story) {
			for at := 0; at < 24*hour; at += 10 * minute {
				s.log(at, "dovecot", "imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip=192.0.2.1, lip=203.0.113.25, TLS handshaking, session=<x>")
				s.log(at+1, "dovecot", "imap-login: Disconnected: Aborted login by logging out (no auth attempts in 0 secs): user=<>, rip=192.0.2.1, lip=203.0.113.25, session=<y>")
			}
			for at := 0; at < 24*hour; at += 2 * hour {
				s.log(at, "postfix/submission/smtpd[5]", "warning: unknown[192.0.2.1]: SASL LOGIN authentication aborted")
			}
		},
		"phones with old passwords behind one carrier": func(s *story) {
			for i := range 8 {
				for at := 0; at < 24*hour; at += 15 * minute {
					s.log(at+i, "dovecot", "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<user%d>, method=PLAIN, rip=192.0.2.%d, lip=203.0.113.25, TLS, session=<x>", i, i+1)
				}
			}
		},
		"a small server with a bad HELO": func(s *story) {
			for i := range 14 {
				s.session(i*90*minute, "192.0.2.1", refused, rcpt("504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname", "u@good.example", "a@example.net"))
			}
		},
		"a domain has moved away": func(s *story) {
			for i := range 2 {
				s.session(i*minute, "192.0.2.1", refused, rcpt(fmt.Sprintf("554 5.7.1 <old%d@moved.example>: Relay access denied", i), "u@good.example", fmt.Sprintf("old%d@moved.example", i)))
			}
		},
		"one connection that is no SMTP": func(s *story) {
			s.session(0, "192.0.2.1", "unknown=0/1 commands=0/1", `improper command pipelining after CONNECT from @@: GET / HTTP/1.1\r\n`, "warning: non-SMTP command from @@: GET / HTTP/1.1")
			s.log(0, "postfix/postscreen[8]", `PREGREET 18 after 0 from [192.0.2.2]:40000: GET / HTTP/1.1\r\n`)
			s.log(0, "postfix/postscreen[8]", "NON-SMTP COMMAND from [192.0.2.2]:40000 after CONNECT: GET / HTTP/1.1")
			s.log(1, "postfix/postscreen[8]", "DNSBL rank 4 for [192.0.2.2]:40000")
		},
		"a listed server sends to ten recipients at once": func(s *story) {
			var all []string
			for i := range 10 {
				all = append(all, rcpt("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using rbl.example", "u@good.example", fmt.Sprintf("a%d@example.net", i)))
			}
			s.session(0, "192.0.2.1", refused, all...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			tell(s)
			if got := fired(t, s); len(got) != 0 {
				t.Errorf("banned by %v", got)
			}
		})
	}
}

// These must be caught, by this window at the latest after so many seconds.
func TestAttackers(t *testing.T) {
	for name, c := range map[string]struct {
		window string
		within int64
		tell   func(s *story)
	}{
		"the flood of 2004, one host": {"burst", 10 * minute, func(s *story) {
			for i := range 10 {
				s.session(i*50, "203.0.113.1", refused, unknown("450", "", fmt.Sprintf("name%d@example.net", i)))
			}
		}},
		"the flood of 2004, a network whose hosts stay below": {"spray", hour, func(s *story) {
			for i := range 9 {
				for k := range 7 {
					s.session(k*8*minute+i, fmt.Sprintf("203.0.113.%d", i+1), refused, unknown("450", "", fmt.Sprintf("name%d-%d@example.net", i, k)))
				}
			}
		}},
		"a harvest with a sender": {"day", minute, func(s *story) {
			for i := range 30 {
				s.session(i, "203.0.113.1", refused, unknown("550 5.1.1", "u@evil.example", fmt.Sprintf("name%d@example.net", i)))
			}
		}},
		"VRFY": {"burst", minute, func(s *story) {
			for i := range 5 {
				s.session(i, "203.0.113.1", "vrfy=0/1 commands=0/1", fmt.Sprintf("NOQUEUE: reject: VRFY from @@: 550 5.1.1 <n%d@example.net>: Recipient address rejected: User unknown in local recipient table; to=<n%d@example.net> proto=SMTP", i, i))
			}
		}},
		"a search for open relays": {"burst", minute, func(s *story) {
			for i := range 3 {
				s.session(i, "203.0.113.1", refused, rcpt(fmt.Sprintf("554 5.7.1 <v%d@other.example>: Relay access denied", i), "u@evil.example", fmt.Sprintf("v%d@other.example", i)))
			}
		}},
		"guesses at five users": {"burst", 5 * minute, func(s *story) {
			for i := range 5 {
				s.session(i*minute, "203.0.113.1", "ehlo=1 auth=0/1 commands=1/2", fmt.Sprintf("warning: @@: SASL LOGIN authentication failed: (reason unavailable), sasl_username=user%d", i))
			}
		}},
		"guesses at one user": {"burst", 6 * minute, func(s *story) {
			for i := range 17 {
				s.session(i*20, "203.0.113.1", "ehlo=1 auth=0/1 commands=1/2", "warning: @@: SASL LOGIN authentication failed: (reason unavailable), sasl_username=admin")
			}
		}},
		"guesses an old Postfix does not name": {"burst", 10 * minute, func(s *story) {
			for i := range 10 {
				s.session(i*50, "203.0.113.1", "ehlo=1 auth=0/1 commands=1/2", "warning: @@: SASL LOGIN authentication failed: UGFzc3dvcmQ6")
			}
		}},
		"slow guesses": {"day", 24 * hour, func(s *story) {
			for i := range 30 {
				s.session(i*48*minute, "203.0.113.1", "ehlo=1 auth=0/1 commands=1/2", fmt.Sprintf("warning: @@: SASL LOGIN authentication failed: (reason unavailable), sasl_username=user%d", i))
			}
		}},
		"AUTH that is not on offer": {"burst", 10 * minute, func(s *story) {
			for i := range 4 {
				s.session(i*minute, "203.0.113.1", "ehlo=1 auth=0/3 commands=1/4")
			}
		}},
		"guesses at Dovecot": {"burst", 5 * minute, func(s *story) {
			for i := range 5 {
				s.log(i*minute, "dovecot", "imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<user%d>, method=PLAIN, rip=203.0.113.1, lip=192.0.2.25, session=<x>", i)
			}
		}},
		"slow guesses at Dovecot": {"day", 24 * hour, func(s *story) {
			for i := range 30 {
				s.log(i*48*minute, "dovecot", "imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): user=<user%d>, method=PLAIN, rip=203.0.113.1, lip=192.0.2.25, session=<x>", i)
			}
		}},
		"talks too early twice": {"burst", 10 * minute, func(s *story) {
			for i := range 2 {
				s.log(i*9*minute, "postfix/postscreen[8]", `PREGREET 14 after 0 from [203.0.113.1]:%d: EHLO ylmf-pc\r\n`, 40000+i)
			}
		}},
		"no SMTP twice": {"burst", 10 * minute, func(s *story) {
			for i := range 2 {
				s.session(i*9*minute, "203.0.113.1", "unknown=0/1 commands=0/1", "warning: non-SMTP command from @@: GET / HTTP/1.1")
			}
		}},
		"listed, eight times": {"day", 30 * minute, func(s *story) {
			for i := range 8 {
				s.session(i*4*minute, "203.0.113.1", refused, rcpt("554 5.7.1 Service unavailable; Client host [203.0.113.1] blocked using rbl.example", "u@evil.example", "a@example.net"))
			}
		}},
		"listed at postscreen, three times": {"burst", 10 * minute, func(s *story) {
			for i := range 3 {
				s.log(i*4*minute, "postfix/postscreen[8]", "DNSBL rank 4 for [203.0.113.1]:%d", 40000+i)
			}
		}},
		"too many errors, eight times": {"day", 30 * minute, func(s *story) {
			for i := range 8 {
				s.session(i*4*minute, "203.0.113.1", "ehlo=1 rcpt=0/20 commands=1/21", "too many errors after RCPT from @@")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &story{}
			c.tell(s)
			if at, ok := fired(t, s)[c.window]; !ok || at > c.within {
				t.Errorf("not caught by %s within %d s: %v", c.window, c.within, fired(t, s))
			}
		})
	}
}
