package report

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/score"
)

// TestFromBan: a running ban in the shape of the contract.
func TestFromBan(t *testing.T) {
	b := &ban.Ban{
		Prefix: netip.MustParsePrefix("192.0.2.0/24"), From: 1_800_000_000, Until: 1_800_003_600, Level: 2, Knocks: 7,
		Members: []ban.Member{{Key: netip.MustParsePrefix("192.0.2.9/32"), Cause: ban.Cause{Rules: []score.RuleCount{{Rule: "sasl", Count: 3}}}}},
	}
	got := FromBan(b)
	if got.Prefix != "192.0.2.0/24" || got.Door != "smtp" || got.Ended != "running" || got.Level != 2 ||
		got.From.Unix() != 1_800_000_000 || got.Until.Unix() != 1_800_003_600 ||
		len(got.Members) != 1 || got.Members[0] != "192.0.2.9" || got.Rules["sasl"] != 3 || got.Why != b.Explain() {
		t.Errorf("%+v", got)
	}
}

// TestFromBanWithoutEnd: what has no end can be written all the same.
func TestFromBanWithoutEnd(t *testing.T) {
	got := FromBan(&ban.Ban{Prefix: netip.MustParsePrefix("192.0.2.0/24"), From: 1, Until: ban.Forever, Pinned: true})
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back Ban
	if err := json.Unmarshal(text, &back); err != nil || back.Until.Year() != 9999 {
		t.Errorf("%v %s", err, text)
	}
}

// TestFromSpell: a spell that ended early says when.
func TestFromSpell(t *testing.T) {
	got := FromSpell(&ban.Spell{Ban: ban.Ban{Prefix: netip.MustParsePrefix("192.0.2.0/24"), From: 100, Until: ban.Forever}, End: ban.Lifted, Ended: 160})
	if got.Ended != "lifted" || got.Until.Unix() != 160 {
		t.Errorf("%+v", got)
	}
}
