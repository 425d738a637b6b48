package score

import "net/netip"

// records are those of clients by their addresses, as they are kept: see plain.
type records struct {
	v4 map[key4]*record
	v6 map[key16]*record
}

func newRecords() records {
	return records{map[key4]*record{}, map[key16]*record{}}
}

// get is the record of a client, nil when there is none.
func (m *records) get(a netip.Addr) *record {
	switch {
	case a.Is4():
		return m.v4[addrKey4(a)]
	case a.Is6():
		return m.v6[addrKey16(a)]
	}
	return nil
}

func (m *records) put(a netip.Addr, r *record) {
	if a.Is4() {
		m.v4[addrKey4(a)] = r
	} else {
		m.v6[addrKey16(a)] = r
	}
}

func (m *records) remove(a netip.Addr) {
	if a.Is4() {
		delete(m.v4, addrKey4(a))
	} else {
		delete(m.v6, addrKey16(a))
	}
}

func (m *records) len() int { return len(m.v4) + len(m.v6) }

// all yields all records, in no order.
func (m *records) all(yield func(netip.Addr, *record) bool) {
	for k, r := range m.v4 {
		if !yield(k.addr(), r) {
			return
		}
	}
	for k, r := range m.v6 {
		if !yield(k.addr(), r) {
			return
		}
	}
}
