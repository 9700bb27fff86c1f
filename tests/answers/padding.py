def emma(names):
    input_ids, _, pad_mask, _ = make_batch(names, 0, len(names))
    start = pad_mask[0].argmin().item()  # where the first name begins
    return model(input_ids, pad_mask)[0, start : start + 5]  # BOS and four letters


print(mx.abs(emma(["emma"]) - emma(["emma", "christopher"])).max().item())
