package rules_test

import (
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// What the shipped rules cost for each event of an attack.
func BenchmarkMatch(b *testing.B) {
	_, set := shipped(b)
	lines := []string{
		"Jul 14 01:02:03 dns postfix/smtpd[1234]: NOQUEUE: reject: RCPT from unknown[203.0.113.80]: 450 <jones@example.net>: Recipient address rejected: User unknown in local recipient table; from=<> to=<jones@example.net> proto=SMTP helo=<mail>",
		"Jul 14 01:02:03 dns postfix/smtpd[1234]: connect from unknown[203.0.113.80]",
		"Jul 14 01:02:03 dns postfix/smtpd[1234]: disconnect from unknown[203.0.113.80] ehlo=1 mail=1 rcpt=0/1 commands=2/3",
		"Jul 14 01:02:03 dns postfix/smtpd[1234]: warning: unknown[203.0.113.80]: SASL LOGIN authentication failed: UGFzc3dvcmQ6, sasl_username=info",
	}
	events := make([]maillog.Event, len(lines))
	for i, l := range lines {
		if !maillog.Parse([]byte(l), &events[i]) {
			b.Fatal(l)
		}
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		set.Match(&events[i&3], nil)
		i++
	}
}
