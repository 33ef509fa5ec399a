-- An order ended, its payment was captured or may have been, and the customer has neither the parcel
-- nor the money back. A shipment that was cancelled again is no shipment. Where nobody is in charge, a step
-- is the event that tells of it.
-- A row is a customer who paid for nothing: look at `sagalog show`, then refund the payment.

SELECT s.saga_id, s.saga_key AS order_id, s.status, paid.status AS payment_status
FROM saga_status AS s
JOIN saga_steps AS paid
    ON paid.saga_id = s.saga_id AND paid.direction = 'action'
    AND paid.step IN ('process_payment', 'PaymentProcessed') AND paid.status NOT IN ('refused', 'skipped')
WHERE s.saga_name IN ('order-fulfilment', 'order-fulfilment-remote', 'order-fulfilment-choreographed')
  AND s.status IN ('completed', 'failed')
  AND NOT EXISTS (
      SELECT 1 FROM saga_steps AS refunded
      WHERE refunded.saga_id = s.saga_id AND refunded.direction = 'compensation'
        AND refunded.undoes IN ('process_payment', 'PaymentProcessed') AND refunded.status = 'compensated')
  AND NOT EXISTS (
      SELECT 1 FROM saga_steps AS shipped
      LEFT JOIN saga_steps AS cancelled
          ON cancelled.saga_id = shipped.saga_id AND cancelled.direction = 'compensation'
          AND cancelled.undoes = shipped.step AND cancelled.status = 'compensated'
      WHERE shipped.saga_id = s.saga_id AND shipped.direction = 'action'
        AND shipped.step IN ('create_shipment', 'ShipmentCreated') AND shipped.status = 'succeeded'
        AND cancelled.saga_id IS NULL)
ORDER BY s.saga_id
