package maillog

import (
	"bytes"
	"os"
	"testing"
)

// TestParts holds what kinds can tell against what lines of them told: nothing
// that stands in a line is denied, and little is claimed that no line has.
func TestParts(t *testing.T) {
	var lines [][]byte
	for _, c := range corpusLines(t) {
		lines = append(lines, c.text)
	}
	for _, file := range []string{"maillog.log", "rfc5424.txt"} {
		text, err := os.ReadFile("../../testdata/maillog/real/" + file)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.Split(text, []byte("\n"))...)
	}
	var seen [NumKinds]Parts
	var reasons [NumKinds][NumReasons]bool
	for _, line := range lines {
		var ev Event
		if !Parse(line, &ev) || ev.Kind < SMTPDConnect {
			continue
		}
		var has Parts
		for part, is := range map[Parts]bool{
			PartStage:     ev.Stage != NoStage,
			PartReply:     ev.Code != 0 || ev.Text(DSN) != nil,
			PartAddresses: ev.Text(Helo) != nil || ev.Text(Sender) != nil || ev.Text(Recipient) != nil || ev.Text(Proto) != nil,
			PartSASL:      ev.Text(SASLMethod) != nil || ev.Text(SASLUser) != nil,
			PartName:      ev.Text(ClientName) != nil,
			PartPort:      ev.Port != 0,
			PartService:   ev.Text(Service) != nil,
			PartSummary:   ev.Commands != Commands{},
			PartSession:   NewJoiner().Join(0, 1, 0, &ev) != nil,
		} {
			if is {
				has |= part
			}
		}
		seen[ev.Kind] |= has
		reasons[ev.Kind][ev.Reason] = true
		if k := ev.Kind; has&^k.Parts() != 0 || ev.Reason != NoReason && !k.CanBe(ev.Reason) || !k.At(ev.Door()) {
			t.Errorf("%s cannot have parts %b, reason %q at door %v: %s", k, has, ev.Reason, ev.Door(), line)
		}
	}
	// Ports, logins and codes are rare: not each kind has a line with them here.
	const common = PartStage | PartAddresses | PartName | PartSummary | PartSession
	for k := SMTPDConnect; k < KindCustom; k++ {
		if never := k.Parts() & common &^ seen[k]; never != 0 {
			t.Errorf("%s: no line with parts %b", k, never)
		}
		for r := range NumReasons {
			if (k == SMTPDReject || k == SMTPDSASLFail) && k.CanBe(r) && !reasons[k][r] {
				t.Errorf("%s: no line with reason %s", k, r)
			}
		}
	}
}
