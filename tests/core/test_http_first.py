def test_it(sandbox_api):
    from support import acme
    api = sandbox_api(acme)
    assert api.get("/echo", a=[1,2], b=True)["query"] == "a=1&a=2&b=true"
    assert list(api.lines("/lines"))[2]["n"] == 2
