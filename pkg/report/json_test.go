package report_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/postmoat/postmoat/pkg/loggen"
	"github.com/postmoat/postmoat/pkg/report"
)

// TestJSON: what is written ban by ban is what the encoder makes of the whole.
func TestJSON(t *testing.T) {
	path, _ := logOf(t, loggen.Options{Mix: "b", Lines: 100_000, Seed: 1})
	r := replay(t, report.Options{Paths: []string{path}, Top: 10})
	bans := r.Bans
	if len(bans) < 3 {
		t.Fatalf("%d bans, want some", len(bans))
	}
	for _, n := range []int{len(bans), 2, 1, 0} {
		r.Bans = bans[:n]
		var got, want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
		if err := r.JSON(&got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%d bans:\n%.600s\nwant\n%.600s", n, got.Bytes(), want.Bytes())
		}
	}
}
