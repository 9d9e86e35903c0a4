// Package v20170312 stands in for Tencent Cloud's SDK: its module cannot be had everywhere, and flannel needs it only for
// the backend `tencent-vpc`. It holds just what that backend refers to; every call says that the backend was left out.
//
// It is kubeinstall's own, put in by the `replace` in ../../../go.mod.
package v20170312

import "errors"

var errLeftOut = errors.New("this flanneld was built without the backend tencent-vpc")

type Filter struct {
	Name   *string
	Values []*string
}

type Route struct {
	RouteId              *uint64
	DestinationCidrBlock *string
	GatewayId            *string
	GatewayType          *string
	RouteType            *string
	Enabled              *bool
}

type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

type DescribeRouteTablesRequest struct{ Filters []*Filter }

type DescribeRouteTablesResponse struct {
	Response struct{ RouteTableSet []*RouteTable }
}

type routesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

type (
	CreateRoutesRequest  = routesRequest
	DeleteRoutesRequest  = routesRequest
	CreateRoutesResponse struct{}
	DeleteRoutesResponse struct{}
)

type Client struct{}

func NewClientWithSecretId(_, _, _ string) (*Client, error) { return &Client{}, errLeftOut }

func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}
func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }
func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }

func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errLeftOut
}

func (*Client) CreateRoutes(*CreateRoutesRequest) (*CreateRoutesResponse, error) {
	return nil, errLeftOut
}
func (*Client) DeleteRoutes(*DeleteRoutesRequest) (*DeleteRoutesResponse, error) {
	return nil, errLeftOut
}
